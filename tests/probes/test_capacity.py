"""Capacity: planted subspaces give exact counts, the null adds nothing, extrapolations find planted
curves.
"""

import numpy as np
import pandas as pd
import pytest
from measure import measure
from planted import metadata
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements import input_spectra
from implicit_sparsity.metrics import capacity, intervals
from implicit_sparsity.probes.capacity import Capacity
from implicit_sparsity.storage.store import open_store, write_store
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
    attrs = ATTRS | {"options": OPTIONS}
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
    assert set(frame["width"]) == {30} and set(frame["n"]) == {4}


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


def test_dimensions_are_the_smallest_number_that_holds_the_energy():
    spectrum = np.array([5.0, 3.0, 1.0, 1.0])
    k = capacity.dimensions(spectrum, [0.5, 0.5001, 0.8, 0.9, 1.0])
    assert np.ceil(k).tolist() == [1, 2, 2, 3, 4]
    np.testing.assert_allclose(k[:3], [1, 1.001 / 3 * 0 + 1 + 0.001 / 3, 2])
    assert capacity.dimensions(spectrum[::-1], [0.8]) == 2, "in any order"
    assert np.isnan(capacity.dimensions(np.zeros(4), [0.5]))
    np.testing.assert_allclose(capacity.dimensions(np.ones(100), [0.95, 0.99]), [95, 99])
    with pytest.raises(InputError, match="not finite"):
        capacity.dimensions(np.array([np.nan, 1]), [0.5])


def test_extrapolation_finds_planted_curves():
    t = np.arange(1, 6.0)[:, None]
    full = capacity.until_full(10 + 15 * t, 100)
    np.testing.assert_allclose(full["linear"], 6)
    full = capacity.until_full(200 * -np.expm1(-t / 4), 100)
    assert full["saturating"] == pytest.approx(4 * np.log(2), rel=0.01)
    full = capacity.until_full(80 * -np.expm1(-t / 2), 100)
    assert np.isinf(full["saturating"]).all() and np.isfinite(full["linear"]).all()
    assert all(np.isinf(x).all() for x in capacity.until_full(np.full((4, 1), 30.0), 100).values())
    assert all(np.isnan(x).all() for x in capacity.until_full(np.full((1, 1), 30.0), 100).values())
    proportional = capacity.until_full(7 * t, 100)
    assert proportional["saturating"] == pytest.approx(100 / 7, rel=0.02), "a line is a late curve"


def test_not_reached_is_an_answer(tmp_path):
    spans = {"one": range(4), "again": range(4), "more": range(4)}
    frame = rows_of(tmp_path, planted(spans), {"o": list(spans)})
    rows = frame[frame["measure"] == "domains_until_full"]
    assert np.isinf(rows["value"]).all() and len(rows) == 2 * 2 * 3
    growing = rows_of(tmp_path, planted({"one": range(10), "two": range(10, 20)}), {"o": ["one", "two"]})
    (linear,) = values(growing, "domains_until_full", "linear", energy=0.99)
    assert linear == pytest.approx(30 / 9.9, rel=0.01)


def test_intervals_cover(documents=16, width=24):
    """Truth: the mean over many draws of as many documents, each with directions of its own."""
    rng = np.random.default_rng(2)
    result, energy = [], [0.9]
    scale = np.arange(1, width + 1.0) ** -0.7
    for _ in range(400):
        x = (
            rng.normal(size=(documents, 20, width))
            * np.exp(0.3 * rng.normal(size=(documents, 1, width)))
            * scale
        )
        moments = capacity.replicates(np.swapaxes(x, -1, -2) @ x)
        k = capacity.dimensions(np.linalg.eigvalsh(moments), energy)[:, 0]
        result.append([k[0], *intervals.jackknife_interval(k)])
    value, low, high = np.array(result).T
    covered = np.mean((low <= value.mean()) & (value.mean() <= high))
    assert 0.92 <= covered <= 0.98, covered


@pytest.mark.parametrize("kind, places", [("dense", {"ffn": 32, "down": 64}), ("mixture", {"ffn": 32})])
def test_measured_moments_are_those_of_the_layers_inputs(nano, tmp_path, kind, places):
    """Against inputs taken out one document at a time; equal runs give equal bytes."""
    import torch

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models import ffn, forward, loading
    from implicit_sparsity.models.hooks.watching import module_inputs

    folder, tokens = nano(kind)
    network, shards = loading.load(folder, device="cpu"), Tokens(tokens["code"])
    split, special = shards.split("probe_a"), shards.index["special_ids"]
    result = input_spectra.measure(network, [0, 3], split, special, OPTIONS)
    assert set(result) == {(place, layer) for place in places for layer in (0, 3)}
    seen, left, total = [], 200, {}
    with module_inputs({3: ffn.feed_forwards(network)[3].mlp}, lambda _, x: seen.append(x[0])):
        for number, document in enumerate(split):
            ids = np.asarray(document.ids)
            keep = np.flatnonzero(~np.isin(ids, special) & (np.arange(len(ids)) > 0))
            take = min(left, 50, len(keep))
            keep = keep[[int((i + 0.5) * len(keep) / take) for i in range(take)]]
            with torch.inference_mode():
                forward.hidden_states(network, torch.from_numpy(ids.astype(np.int64))[None])
            x = seen[-1][keep].double().numpy()
            total[number % 4] = total.get(number % 4, 0) + x.T @ x
            left -= len(keep)
            if not left:
                break
    np.testing.assert_allclose(result["ffn", 3], [total[g] for g in range(4)], rtol=1e-3, atol=1e-3)
    paths = [str(tokens[domain]) for domain in tokens]
    orders = {"forward": ["code", "math", "medical"], "back": ["medical", "code"]}
    for name in ("x", "y"):
        what = {}, "input_spectra", list(tokens), "base", OPTIONS
        measure(str(tmp_path / name), str(folder), paths, *what, orders=orders, name="nano")
    for path in (tmp_path / "x").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "y" / path.relative_to(tmp_path / "x")).read_bytes(), path
    store = open_store(tmp_path / "x")
    widths = dict(zip(store["place"].values.tolist(), store["width"].values.tolist()))
    assert widths == places
    frame = pd.DataFrame(Capacity().rows({"": store}))
    used = frame[(frame["measure"] == "used") & (frame["layer"] == -1) & (frame["order"] == "forward")]
    assert (
        used.groupby(["place", "energy"])["value"].apply(lambda v: v.is_monotonic_increasing)
    ).mean() > 0.5
    assert (used["value"] > 0).all() and (used["value"] < used["width"]).all()


def test_a_nan_too_few_documents_and_no_store(nano, tmp_path):
    import torch

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models import loading

    folder, tokens = nano("llama")
    network, split = loading.load(folder, device="cpu"), Tokens(tokens["code"]).split("probe_a")
    with pytest.raises(InputError, match="are wanted"):
        input_spectra.measure(network, [0], split, [], OPTIONS | {"tokens": 9999}, tokens["code"])
    with torch.no_grad():
        network.model.embed_tokens.weight[:] = float("nan")
    with pytest.raises(InputError, match="ffn in layer 0 are not finite"):
        input_spectra.measure(network, [0], split, [], OPTIONS, tokens["code"])
    assert Capacity().rows({}) == []
    spans = {"one": range(4), "two": range(4, 8)}
    dead = planted(spans)
    for half in dead.values():
        half["two"]["ffn", 1][:] = 0  # a layer that passes nothing on
    frame = rows_of(tmp_path, dead, {"o": ["one", "two"]})
    assert values(frame, "used", layer=1) == [4, 4] and values(frame, "used", layer=0) == [4, 8]
    assert metadata()["units"] == "1"


def test_layers_are_evenly_spaced():
    assert capacity.layers_of(30, 4) == [0, 10, 19, 29]
    assert capacity.layers_of(3, 8) == [0, 1, 2] and capacity.layers_of(5, 1) == [4]
