"""Capacity: planted subspaces give exact counts, the null adds nothing, what is not reached is said."""

import numpy as np
import pytest
from planted import metadata
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements import input_spectra
from implicit_sparsity.probes.capacity import Capacity
from implicit_sparsity.storage.store import write_store
from implicit_sparsity.storage.tables import read_table

OPTIONS = {"layers": 8, "tokens": 200, "groups": 4, "energy": [0.95, 0.99]}
OPTIONS |= {"down": True, "skip_first": 1, "batch_tokens": 256}
ATTRS = {"model": "nano", "checkpoint": "base", "domain": "", "revision": "r", "model_sha256": "s"}


def planted(subspaces, width=30, layers=2, groups=4):
    """half -> domain -> {(place, layer): moments [G, H, H]}: white noise in the span of the named axes,
    turned.
    """
    rng = np.random.default_rng(0)
    turn = {layer: np.linalg.qr(rng.normal(size=(width, width)))[0] for layer in range(layers)}
    result = {"a": {}, "b": {}}
    for moments in result.values():
        for domain, axes in subspaces.items():
            weight = np.zeros(width)
            weight[list(axes)] = 1
            moments[domain] = {
                ("ffn", layer): np.tile((q * weight) @ q.T, (groups, 1, 1)) for layer, q in turn.items()
            }
    return result


def rows_of(tmp_path, moments, orders, energy=(0.95, 0.99), **options):
    arrays, coords = input_spectra.used(moments, orders, list(energy))
    layers = sorted({layer for _, layer in next(iter(moments["a"].values()))})
    attrs = ATTRS | {"options": OPTIONS, "documents": 24}
    store = write_store(tmp_path / "s.zarr", arrays, coords | {"layer": np.array(layers)}, attrs)
    probe_table(str(tmp_path / "t.csv"), probe="capacity", input_spectra=[str(store)], options=options)
    return read_table(tmp_path / "t.csv")


def values(frame, measure, quantity="signal", order="o", layer=0, energy=0.95):
    frame = frame[(frame["measure"] == measure) & (frame["quantity"] == quantity) & (frame["order"] == order)]
    return frame[(frame["layer"] == layer) & (frame["energy"] == energy)]["value"].tolist()


def test_orthogonal_and_shared_subspaces_give_exact_counts(tmp_path):
    """Domains of 4 directions each: the second its own, the third the first's, the last half of each."""
    spans = {"one": range(4), "two": range(4, 8), "again": range(4), "half": [2, 3, 8, 9]}
    orders = {"o": list(spans), "short": ["two", "half"]}
    frame = rows_of(tmp_path, planted(spans), orders)
    for layer in (0, 1, -1):
        exact = [4, 8, 8, 10]
        if layer == -1:  # a mean over layers, of what is read off between two whole numbers
            np.testing.assert_allclose(np.ceil(values(frame, "used", layer=-1, energy=0.99)), exact)
            continue
        assert values(frame, "used", layer=layer, energy=0.99) == exact
        assert values(frame, "free", layer=layer, energy=0.99) == [30 - k for k in exact]
        assert values(frame, "used", layer=layer, energy=0.99, order="short") == [4, 8]
    growth = values(frame, "growth", energy=0.99)
    np.testing.assert_allclose(growth[:2], [3.96, 3.96])
    assert growth[2] == pytest.approx(0, abs=0.5)
    np.testing.assert_allclose(values(frame, "growth", "floor", energy=0.99), 0, atol=0.6)
    bounds = frame[frame["measure"] == "used"]
    assert (bounds["high"] - bounds["low"]).max() < 1e-9, "equal groups leave nothing to chance"
    assert (
        set(frame["width"]) == {30}
        and set(frame["groups"]) == {4}
        and set(frame["n"]) == {24}
        and not frame["trusted"].any()
    )


def test_the_null_is_the_other_half_and_adds_almost_nothing(tmp_path):
    """Domains drawn from one distribution grow as the null does; from distributions of their own, far
    more.
    """
    rng = np.random.default_rng(0)

    def draw(scales):
        result = {"a": {}, "b": {}}
        for moments in result.values():
            for domain, scale in scales.items():
                x = rng.normal(size=(4, 200, 40)) * scale
                moments[domain] = {("ffn", 0): np.swapaxes(x, -1, -2) @ x}
        return result

    decay = np.arange(1, 41.0) ** -1
    same = rows_of(tmp_path, draw({"a": decay, "b": decay, "c": decay}), {"o": ["a", "b", "c"]})
    apart = rows_of(
        tmp_path, draw({"a": decay, "b": decay[::-1], "c": np.roll(decay, 20)}), {"o": ["a", "b", "c"]}
    )
    null = values(same, "growth", "floor")
    assert np.abs(null).max() < 1.5
    assert np.abs(np.subtract(values(same, "growth")[1:], null)).max() < 1.0
    assert values(apart, "growth")[1] > 6 * max(1, np.abs(values(apart, "growth", "floor")).max())


def test_not_reached_is_an_answer(tmp_path):
    spans = {"one": range(4), "again": range(4), "more": range(4)}
    frame = rows_of(tmp_path, planted(spans), {"o": list(spans)})
    rows = frame[frame["measure"] == "domains_until_full"]
    assert np.isinf(rows["value"]).all() and len(rows) == 2 * 2 * 3
    growing = rows_of(tmp_path, planted({"one": range(10), "two": range(10, 20)}), {"o": ["one", "two"]})
    (linear,) = values(growing, "domains_until_full", "linear", energy=0.99)
    assert linear == pytest.approx(30 / 9.9, rel=0.01)


def test_a_nan_too_few_documents_and_no_store(nano, tmp_path):
    import torch

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models import loading

    folder, tokens = nano("llama")
    network, split = loading.load(folder, device="cpu"), Tokens(tokens["code"]).split("probe_a")
    with pytest.raises(InputError, match="are wanted"):
        input_spectra.take(split, [], OPTIONS | {"tokens": 9999}, tokens["code"])
    taken = input_spectra.take(split, [], OPTIONS)
    with torch.no_grad():
        network.model.embed_tokens.weight[:] = float("nan")
    with pytest.raises(InputError, match="ffn in layer 0 are not finite"):
        input_spectra.measure(network, [0], taken, OPTIONS, tokens["code"])
    assert Capacity().rows({}) == []
    spans = {"one": range(4), "two": range(4, 8)}
    dead = planted(spans)
    for half in dead.values():
        half["two"]["ffn", 1][:] = 0  # a layer that passes nothing on
    frame = rows_of(tmp_path, dead, {"o": ["one", "two"]})
    assert values(frame, "used", layer=1) == [4, 4] and values(frame, "used", layer=0) == [4, 8]
    assert metadata()["units"] == "1"
