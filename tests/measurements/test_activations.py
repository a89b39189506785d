"""What a store of activations takes."""

from pathlib import Path

import pytest

from implicit_sparsity.options import load
from implicit_sparsity.planning import shapes


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_store_bytes(nano, tmp_path, kind):
    """The arrays of a real store take what the formula says; on disk Zarr's compression makes it less."""
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models import ffn, loading
    from implicit_sparsity.passes import activation_pass
    from implicit_sparsity.storage.store import open_store, write_store

    model, tokens = nano(kind)
    network = loading.load(model)
    blocks, shards = ffn.feed_forwards(network), Tokens(tokens["code"])
    chosen = {"tokens": 100, "top_k": [0.1, 4], "thresholds": [0.1], "batch_tokens": 64, "groups": 4}
    measurement = load("measurements", "activations", **chosen)
    options = measurement.settings()
    halves = [
        activation_pass.measure_half(network, blocks, shards.split(f"probe_{h}"), (), options) for h in "ab"
    ]
    arrays, coords = activation_pass.as_store(halves, blocks, options)
    path = tmp_path / "store.zarr"
    write_store(path, arrays, coords, {})
    formula = measurement.stored(shapes.of_network(network))
    raw = sum(variable.nbytes for variable in open_store(path).data_vars.values())
    assert formula == pytest.approx(raw, rel=0.04)  # without what is counted by group and layer alone
    written = sum(file.stat().st_size for file in Path(path).rglob("c/**/*") if file.is_file())
    assert 0.1 * formula < written < 1.1 * formula
