"""The scripts that measure a checkpoint, called as functions: model and tokens in, scores and stores out."""

import json
import warnings

import evaluate_checkpoint
import measure
import networks
import numpy as np
import pytest

from implicit_sparsity.models import loading
from implicit_sparsity.passes import evaluation

EVALS = {
    "documents": 6,
    "choice_items": 3,
    "generate": [],
    "generation_items": 0,
    "max_new_tokens": 4,
    "batch_tokens": 200,
}
ACTIVATIONS = {"tokens": 100, "top_k": [0.1], "thresholds": [0.1], "skip_first": 1, "batch_tokens": 200}


@pytest.fixture
def loads(monkeypatch):
    """Counts how often a network is loaded."""
    seen, load = [], loading.load
    monkeypatch.setattr(loading, "load", lambda *a, **k: seen.append(a) or load(*a, **k))
    return seen


def evaluate(folder, model, tokens, base=None, **options):
    (folder / "base").mkdir(exist_ok=True)
    paths = [folder / "base" / f"{domain}.json" for domain in tokens]
    evaluate_checkpoint.evaluate_checkpoint(
        list(map(str, paths)),
        str(model),
        list(map(str, tokens.values())),
        base or {},
        list(tokens),
        "base",
        EVALS | options,
        code="c0de",
    )
    return {domain: json.loads(path.read_text()) for domain, path in zip(tokens, paths, strict=True)}


def test_model_is_loaded_once_and_finished_domains_are_not_scored_again(nano, tmp_path, loads):
    model, tokens = nano("dense")
    tokens = dict(tokens)
    first = evaluate(tmp_path, model, tokens)
    assert len(loads) == 1 and {record["study"]["method"] for record in first.values()} == {"base"}
    again = evaluate(tmp_path, model, tokens)
    assert len(loads) == 1, "nothing had changed"
    assert {d: r["study"] for d, r in again.items()} == {d: r["study"] for d, r in first.items()}

    changed = tmp_path / "other"
    tokens["math"] = networks.make_tokens(changed / "math", model, "math", documents=20)
    scored = []
    score = evaluation.score_domain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "score_domain", lambda *a: scored.append(a[2]) or score(*a))
        third = evaluate(tmp_path, model, tokens)
    assert scored == ["math"] and third["code"]["study"] == first["code"]["study"]
    evaluate(tmp_path, model, tokens, documents=5)
    assert len(loads) == 3, "another option is another score"
    half = evaluate(tmp_path, model, tokens, {"precision": "bf16"})
    assert len(loads) == 4 and half["code"]["study"] != first["code"]["study"], "and so is another precision"


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_store_opens_with_xarray_alone_and_without_a_warning(nano, tmp_path, kind):
    import xarray

    model, tokens = nano(kind)
    path = tmp_path / "math.zarr"
    what = {}, "activations", ["math"], "base", ACTIVATIONS, "math"
    measure.measure(str(path), str(model), str(tokens["math"]), *what)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = xarray.open_zarr(path)
    assert store["tokens"].values.tolist() == [100, 100]
    assert store["sum_abs"].dims == ("half", "layer", "neuron") and store.attrs["domain"] == "math"
    assert all({"long_name", "units"} <= set(store[name].attrs) for name in store.variables)
    assert float(np.abs(store["sum_abs"][0] - store["sum_abs"][1]).sum()) > 0, "two halves, not one twice"
    if kind == "mixture":
        assert int(store["routed_tokens"].sum()) == 2 * 100 * 4 * 2  # halves, tokens, layers, experts a token
        assert set(store["expert"].values) == {-1, *range(8)}
