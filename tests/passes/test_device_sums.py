"""Sums on a GPU: nothing waits for it, and shortcuts change nothing."""

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)

from implicit_sparsity.models.ffn import FeedForward
from implicit_sparsity.passes import accumulators, device_sums

GPU = "cuda" if torch.cuda.is_available() else "cpu"  # where what is written for a GPU runs


@pytest.mark.parametrize("n, k", [(1536, 15), (512, 5), (1000, 10), (64, 64), (17, 1), (96, 3)])
def test_searching_the_best_groups_finds_the_largest(n, k):
    """The same columns as a full sort, largest first; also where all large ones sit in one group."""
    values = torch.rand(40, n, generator=torch.Generator().manual_seed(n))
    values[:, ::16] += 1.0
    values[5] = torch.arange(n).float()
    expected = values.sort(dim=1, descending=True).indices[:, :k]
    assert torch.equal(device_sums.largest_indices(values, k), expected)


def rounding(terms):
    """How far off a float32 sum of so many numbers (or squares) >= 0 may be, whatever their order, as a share
    of it: each of them is rounded at most ``terms`` times, by 2^-24."""
    return terms * 2.0**-24


def test_no_shape_depends_on_a_value(monkeypatch):
    """On tensors without values each operation of a GPU's path that would have to wait raises."""
    monkeypatch.setattr(accumulators, "on_host", lambda _: False)
    monkeypatch.setattr(FakeTensor, "is_cuda", property(lambda _: True))
    monkeypatch.setattr(device_sums, "_block_sums", lambda gpu: device_sums.fused_sums)
    block = FeedForward(0, None, 160, 8, shared=320)
    keep = torch.arange(40) % 3 > 0
    rows, sampled = keep.nonzero().flatten(), torch.arange(0, 40, 8)
    with FakeTensorMode(allow_non_fake_inputs=True):
        statistics = accumulators.ActivationStatistics([block], top_k=(0.01, 5), groups=4)
        half = {"dtype": torch.bfloat16}
        # what begin_batch copies to the device
        statistics.keep, statistics.sampled = torch.zeros(2, 40, dtype=torch.bool)
        statistics.retained_rows, statistics.sampled_rows = torch.zeros_like(rows), torch.zeros_like(sampled)
        statistics.group_of = torch.zeros(40, dtype=torch.int64)
        statistics.retained_groups, statistics.sampled_groups = (
            statistics.retained_rows,
            statistics.sampled_rows,
        )
        statistics.observe(block, 8 * 160, None, torch.zeros(40, 320, **half), None)
        routed = torch.zeros(80, dtype=torch.int64), torch.zeros(80, dtype=torch.int64)
        statistics.observe_routed(block, *routed, torch.zeros(80, 160, **half), torch.zeros(80, **half))
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
            torch.bincount(statistics.retained_rows)  # as a boolean mask, unique and item would


@pytest.mark.parametrize("routed", [False, True])
def test_blocks_sum_to_what_a_loop_over_experts_sums_to(routed):
    """Of experts without rows, with one, and with more than a block holds; a dense layer is one expert."""
    counts = [0, 1, 70, 32, 0, 97, 0] if routed else [200]
    expert = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    values = torch.rand(200, 24, generator=torch.Generator().manual_seed(0)).sub_(0.3).clamp_(min=0)
    owner = expert.to(GPU) if routed else None
    got = device_sums.columns(values.to(GPU), owner, len(counts), (0.1, 0.5))
    got = {name: sums.cpu() for name, sums in got.items()}
    largest, wide = values.amax(1, keepdim=True), values.double()
    zero = torch.zeros(1, 24, dtype=torch.float64)
    for number in range(len(counts)):
        mine, here = expert == number, slice(24 * number, 24 * (number + 1))
        near = {"rtol": rounding(max(counts)), "atol": 0}
        torch.testing.assert_close(got["sum"][here], wide[mine].sum(0), **near)
        torch.testing.assert_close(got["squares"][here], wide[mine].square().sum(0), **near)
        assert torch.equal(got["largest"][here], torch.cat([zero, wide[mine]]).amax(0))
        for row, share in enumerate((0.1, 0.5)):
            assert torch.equal(got["above"][row, here], (values >= share * largest)[mine].sum(0).double())
    assert got["zeros"] == (values == 0).sum() > 0


def test_the_compiled_sums_equal_the_eager_ones():
    """What a GPU runs compiled. On a CPU, which runs the eager sums, the graph alone is compiled: the C++ of
    torch 2.13 for AVX2 leaves some of the sums unwritten.
    """
    backend = "aot_eager" if GPU == "cpu" else "inductor"
    blocks = torch.randn(5, 32, 40, generator=torch.Generator().manual_seed(0)).abs().bfloat16().to(GPU)
    largest = blocks.amax(2, keepdim=True).float()
    largest[0, 3] = float("inf")  # a row that only fills up
    with torch.inference_mode():
        compiled = torch.compile(device_sums.fused_sums, dynamic=True, backend=backend)
        ours = compiled(blocks, largest, (0.01, 0.5))
        eager = device_sums.eager_sums(blocks, largest, (0.01, 0.5))
    for one, other in zip(ours, eager, strict=True):
        torch.testing.assert_close(one, other, rtol=2 * rounding(blocks.shape[1]), atol=0)


def test_sums_go_on_where_nothing_compiles(monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    device_sums._block_sums.cache_clear()
    sums, blocks = device_sums._block_sums(True), torch.ones(1, 4, 3)
    for _ in range(2):
        assert sums(blocks, torch.ones(1, 4, 1), ())[0].tolist() == [[4.0] * 3]
    device_sums._block_sums.cache_clear()
    assert caplog.text.count("no compiler") == 1
