"""Measured moments are those of the layers' inputs."""

import numpy as np
import pandas as pd
import pytest
from measure import measure

from implicit_sparsity.measurements import input_spectra
from implicit_sparsity.passes import document_groups
from implicit_sparsity.probes.capacity import Capacity
from implicit_sparsity.storage.store import open_store

OPTIONS = {"layers": 8, "tokens": 200, "groups": 4, "energy": [0.95, 0.99]}
OPTIONS |= {"down": True, "skip_first": 1, "batch_tokens": 256}


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
    taken = input_spectra.take(split, special, OPTIONS)
    part = document_groups.deal(taken[2], [keep.sum() for keep in taken[1]], 4)
    result = input_spectra.measure(network, [0, 3], taken, OPTIONS)
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
            total[part[number]] = total.get(part[number], 0) + x.T @ x
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
