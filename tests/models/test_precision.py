"""A probe in bfloat16 against one in float32, and sums that half precision would lose."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.metrics import overlap
from implicit_sparsity.models import ffn, loading
from implicit_sparsity.passes import accumulators, activation_pass

WIDER = {  # a thousand neurons a layer, so that 1 % of them is a set
    "llama": {"intermediate_size": 1024},
    "dense": {"intermediate_size": 1024},
    "mixture": {"moe_intermediate_size": 128, "shared_expert_intermediate_size": 128},
}


def probe(model) -> dict:
    random = np.random.default_rng(0)
    ids = [random.integers(0, 320, 48) for _ in range(24)]
    statistics = accumulators.ActivationStatistics(ffn.feed_forwards(model))
    activation_pass.run(model, ids, [np.arange(48) > 0] * 24, statistics, 512)
    return statistics.arrays()


@pytest.mark.parametrize("kind", WIDER)
def test_a_bfloat16_probe_finds_the_same_top_neurons(kind):
    """Of the top 1 % by mean |h| nine in ten are the same in every layer, and the mean IoU is 0.9 or more."""
    model = loading.create(networks.CONFIGS[kind] | WIDER[kind], 0).eval().requires_grad_(False)
    full, half = probe(model), probe(model.to(torch.bfloat16))
    assert not np.array_equal(full["sum_abs"], half["sum_abs"]), "nothing was computed in bfloat16"
    layers, neurons = full["sum_abs"].shape
    k = overlap.size_of(0.01, neurons)
    iou = overlap.top_k_iou(full["sum_abs"], half["sum_abs"], k)
    swapped = k - 2 * k * iou / (1 + iou)
    assert iou.shape == (layers,) and iou.mean() >= 0.9 and round(swapped.max()) <= max(1, 0.1 * k)
    other = loading.create(networks.CONFIGS[kind] | WIDER[kind], 1).eval().requires_grad_(False)
    assert overlap.top_k_iou(full["sum_abs"], probe(other)["sum_abs"], k).mean() < 0.3, "any network agrees"


def observed(h, experts: int, width: int) -> dict:
    """The arrays of one planted batch: of a dense layer, or of rows that all go to the last expert."""
    block = SimpleNamespace(layer=0, size=max(1, experts) * width, experts=experts, width=width)
    block.down_norms = lambda: torch.ones(block.size, dtype=torch.float64)
    statistics = accumulators.ActivationStatistics([block])
    statistics.begin_batch(torch.ones(len(h), dtype=torch.bool))
    if experts:
        expert, weights = torch.full((len(h),), experts - 1), torch.full((len(h),), 0.5, dtype=h.dtype)
        statistics.observe_routed(block, expert, torch.arange(len(h)), h, weights)
    else:
        statistics.observe(block, 0, None, h, None)
    return {name: value[..., -width:] for name, value in statistics.arrays().items() if np.ndim(value)}


@pytest.mark.parametrize("experts", [0, 4])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_sums_are_wider_than_what_is_summed(dtype, experts):
    """4,000 ones end at 256 in a bfloat16 sum; squares of 2,000 and sums of 60,000 overflow float16."""
    h = torch.tensor([[1.0, -2000.0, 60_000.0, 0.0]]).to(dtype).repeat(4000, 1)
    exact = h[0].double().abs().numpy()  # what the type makes of 60,000
    got = observed(h, experts, 4)
    assert got["sum_abs"].dtype == np.float64
    np.testing.assert_allclose(got["sum_abs"][0], 4000 * exact, rtol=1e-5)
    np.testing.assert_allclose(got["sum_sq"][0], 4000 * exact**2, rtol=1e-5)
    assert np.array_equal(got["max_abs"][0], exact)
    assert got["above_count"][0, 0].tolist() == [0, 4000, 4000, 0]  # 1 is less than a hundredth of 60,000
    assert got["zero_count"].tolist() == [4000] and got["top_count"][0, 0].tolist() == [0, 0, 4000, 0]
    if experts:
        assert got["routed_weight"][0].tolist() == [0, 0, 0, 2000]
        assert got["routed_tokens"][0].tolist() == [0, 0, 0, 4000]


def test_sums_over_batches_are_float64():
    """A one after 2**24 is lost in a float32 sum."""
    block = SimpleNamespace(layer=0, size=1, experts=0, width=1, down_norms=lambda: torch.ones(1))
    statistics = accumulators.ActivationStatistics([block])
    for value in (2.0**24, 1.0, 1.0, 1.0):
        statistics.begin_batch(torch.ones(1, dtype=torch.bool))
        statistics.observe(block, 0, None, torch.full((1, 1), value, dtype=torch.bfloat16), None)
    assert statistics.arrays()["sum_abs"].tolist() == [[2.0**24 + 3]]
