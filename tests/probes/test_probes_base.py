"""Probes on a mixture of experts: per-token means are conditional on routing."""

import numpy as np
import pytest
from planted import metadata

from implicit_sparsity.options import load
from implicit_sparsity.probes.base import per_token
from implicit_sparsity.storage.store import open_store, write_store

EXPERT = np.array([0, 0, 1, 1, -1])  # two experts of two neurons, then a shared expert of one


@pytest.fixture
def mixture(tmp_path):
    """100 tokens a half; expert 0 gets 10, expert 1 none; the neurons' mean |h| there: 1, 2, -, -, 3."""
    routed = np.broadcast_to(np.array([10, 0]), (2, 1, 2))
    sums = np.broadcast_to(np.array([10.0, 20, 0, 0, 300]), (2, 1, 5))
    above = np.broadcast_to(np.array([5, 10, 0, 0, 50]), (2, 1, 1, 5))
    dims = ("half", "layer", "neuron")
    arrays = {
        "tokens": (("half",), np.array([100, 100]), metadata()),
        "sum_abs": (dims, sums, metadata()),
        "above_count": (("half", "layer", "threshold", "neuron"), above, metadata()),
        "zero_count": (("half", "layer"), np.full((2, 1), 12), metadata()),
        "routed_tokens": (("half", "layer", "expert_id"), routed, metadata()),
    }
    coords = {"half": np.array(["a", "b"]), "layer": [0], "expert_id": [0, 1], "threshold": [0.1]}
    coords |= {"expert": EXPERT, "unit": np.array([0, 1, 0, 1, 0])}
    attrs = {"model": "moe", "checkpoint": "base", "domain": "code"}
    return open_store(write_store(tmp_path / "s.zarr", arrays, coords, attrs))


def test_means_are_over_the_tokens_routed_there(mixture):
    np.testing.assert_allclose(per_token(mixture, mixture["sum_abs"])[0, 0], [1, 2, 0, 0, 3])


def test_only_reached_neurons_count_as_activations(mixture):
    rows = load("probes", "activation_sparsity", top_p=[0.5]).rows({"code": mixture})
    result = {
        (row["measure"], row["parameter"]): row["value"] for row in rows if row["parameter"] is not None
    }
    zero = next(row["value"] for row in rows if row["measure"] == "zero_share")
    assert zero == pytest.approx(12 / (10 + 10 + 100))
    assert result[("below_share", 0.1)] == pytest.approx(1 - 65 / 120)
    assert result[("top_p_share", 0.5)] == pytest.approx(1 / 5)  # 3 of 1 + 2 + 3


def test_overlap_of_experts_in_use(mixture):
    rows = load("probes", "activation_overlap", k=[2, 4]).rows({"code": mixture, "math": mixture}, {})
    signal = {
        row["k"]: row["value"] for row in rows if row["quantity"] == "signal" and row["measure"] == "iou"
    }
    assert signal[2] == 1
    assert np.isnan(signal[4])  # only three neurons are in use
