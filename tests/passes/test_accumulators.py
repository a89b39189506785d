"""Sums against plain numpy's, what half precision would lose, and what is not finite."""

import numpy as np
import pytest
import torch
from test_device_sums import GPU, rounding

from implicit_sparsity.models.ffn import FeedForward
from implicit_sparsity.passes import accumulators


class Block(FeedForward):
    """Neurons of which each writes as much as any."""

    def down_norms(self):
        return torch.ones(self.size, dtype=torch.float64)


def observed(h, experts: int, width: int) -> dict:
    """The arrays of one planted batch: of a dense layer, or of rows that all go to the last expert."""
    block = Block(0, None, width, experts)
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
    block = Block(0, None, 1)
    statistics = accumulators.ActivationStatistics([block])
    for value in (2.0**24, 1.0, 1.0, 1.0):
        statistics.begin_batch(torch.ones(1, dtype=torch.bool))
        statistics.observe(block, 0, None, torch.full((1, 1), value, dtype=torch.bfloat16), None)
    assert statistics.arrays()["sum_abs"].tolist() == [[2.0**24 + 3]]


def test_bins_hold_what_their_edges_say():
    edges = accumulators.bin_edges()
    statistics = accumulators.ActivationStatistics.__new__(accumulators.ActivationStatistics)
    statistics.histogram = torch.zeros(1, accumulators.BINS, dtype=torch.int64)
    statistics._count_bins(0, torch.from_numpy(edges[10:20]).float()[None] * 1.2)
    assert statistics.histogram[0, 10:20].tolist() == [1] * 10
    assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "on a GPU"])
@pytest.mark.parametrize("routed", [False, True])
def test_all_sums_are_what_plain_numpy_sums(routed, kind, monkeypatch):
    """Of some of 400 rows, with signs, ties, zeros and a row of nothing else, and three top sizes. What
    runs on a GPU runs there, or here uncompiled where there is none; without ties, which it decides
    otherwise."""
    device = GPU if kind == "on a GPU" else "cpu"
    h = torch.randn(400, 40, generator=torch.Generator().manual_seed(0))
    if kind == "on a GPU":
        monkeypatch.setattr(accumulators, "on_host", lambda _: False)
        h[:, 0] = 0.0
    else:
        h = h.to(getattr(torch, kind))
        h[:, ::5] = h[:, ::5].round()
        h[7], h[11] = 0.0, 2.5
    rows = torch.arange(400)[torch.arange(400) % 9 > 0]
    owner = rows // 150 if routed else None
    block = Block(0, None, 40, 3, shared=40)
    statistics = accumulators.ActivationStatistics([block], (4, 1, 30), (0.1, 0.5), device, groups=5)
    groups, first = rows % 5, 0 if routed else 120
    experts = (torch.arange(400) // 150).to(device) if routed else None
    given = h.to(device), rows.to(device), groups.to(device)
    statistics._sum(0, first, *given, experts, 3 if routed else 1)
    got = statistics.arrays()
    values = h[rows].double().abs().numpy()
    near = rounding(len(rows))
    order = np.argsort(-values, axis=1, kind="stable")  # of equal ones the first
    for part in range(3 if routed else 1):
        mine = owner.numpy() == part if routed else np.full(len(rows), True)
        here = slice(first + 40 * part, first + 40 * (part + 1))
        np.testing.assert_allclose(got["sum_abs"][0, here], values[mine].sum(0), rtol=near)
        np.testing.assert_allclose(got["sum_sq"][0, here], (values[mine] ** 2).sum(0), rtol=near)
        assert np.array_equal(got["max_abs"][0, here], values[mine].max(0))
        for row, k in enumerate((4, 1, 30)):
            expected = np.bincount(order[mine, :k].ravel(), minlength=40)
            assert np.array_equal(got["top_count"][0, row, here], expected)
        for row, epsilon in enumerate(np.float32([0.1, 0.5])):
            on = values[mine] >= epsilon * values[mine].max(1, keepdims=True).astype(np.float32)
            assert np.array_equal(got["above_count"][0, row, here], on.sum(0))
        for group in range(5):
            expected = values[mine & (groups.numpy() == group)].sum(0)
            np.testing.assert_allclose(got["group_sum_abs"][group, 0, here], expected, rtol=near)
    assert got["zero_count"][0] == (values == 0).sum() > 40
    assert got["sum_abs"].sum() == pytest.approx(values.sum(), rel=near)  # and nowhere else


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_in_the_sums(bad):
    """So that the pass can refuse it; and nothing is written outside the tables."""
    block = Block(0, None, 24)
    statistics = accumulators.ActivationStatistics([block], (3, 20), (0.1,), groups=1)
    h = torch.rand(16, 24)
    h[3, 5] = h[4] = bad
    statistics._sum(0, 0, h, torch.arange(16), torch.zeros(16, dtype=torch.int64))
    assert not statistics.sum_abs.isfinite().any() and statistics.top_count[0].sum(1).tolist() == [48, 320]
