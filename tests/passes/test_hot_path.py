"""What keeps the activation pass fast: it never waits for a GPU, and takes shortcuts that change nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import networks
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)

from implicit_sparsity.models import ffn, loading
from implicit_sparsity.models.hooks.watching import ffn_activations
from implicit_sparsity.passes import accumulators, activation_pass, device_sums

CARD = "cuda" if torch.cuda.is_available() else "cpu"  # where what is written for a GPU runs
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SCRIPTS)}


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


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "on a GPU"])
@pytest.mark.parametrize("routed", [False, True])
def test_all_sums_are_what_plain_numpy_sums(routed, kind, monkeypatch):
    """Of some of 400 rows, with signs, ties, zeros and a row of nothing else, and three top sizes. What
    runs on a GPU runs there, or here uncompiled where there is none; without ties, which it decides
    otherwise."""
    device = CARD if kind == "on a GPU" else "cpu"
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
    block = SimpleNamespace(layer=0, size=160, experts=3, width=40)
    block.down_norms = lambda: torch.ones(160)
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
    block = SimpleNamespace(layer=0, size=24, experts=0, width=24)
    statistics = accumulators.ActivationStatistics([block], (3, 20), (0.1,), groups=1)
    h = torch.rand(16, 24)
    h[3, 5] = h[4] = bad
    statistics._sum(0, 0, h, torch.arange(16), torch.zeros(16, dtype=torch.int64))
    assert not statistics.sum_abs.isfinite().any() and statistics.top_count[0].sum(1).tolist() == [48, 320]


def test_the_loop_compiles_where_nothing_can_be_kept():
    """Scripts and home that cannot be written to: machine code is made anew, and the sums are right."""
    code = """if True:
        import numba.core.caching as caching
        caching.CacheImpl._locator_classes = []
        import torch
        from types import SimpleNamespace
        from implicit_sparsity.passes.accumulators import ActivationStatistics
        statistics = ActivationStatistics([SimpleNamespace(layer=0, size=8, experts=0, width=8)])
        statistics._sum(0, 0, torch.ones(2, 8), torch.arange(2), None)
        print(statistics.sum_abs.tolist())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.strip() == str([[2.0] * 8]), done.stderr


def test_no_shape_depends_on_a_value(monkeypatch):
    """On tensors without values each operation of a GPU's path that would have to wait raises."""
    monkeypatch.setattr(accumulators, "on_host", lambda _: False)
    monkeypatch.setattr(FakeTensor, "is_cuda", property(lambda _: True))
    monkeypatch.setattr(device_sums, "_block_sums", lambda gpu: device_sums.fused_sums)
    block = SimpleNamespace(layer=0, size=8 * 160 + 320, experts=8, width=160)
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
    owner = expert.to(CARD) if routed else None
    got = device_sums.columns(values.to(CARD), owner, len(counts), (0.1, 0.5))
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


@pytest.mark.skipif(
    CARD == "cpu" and shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU"
)
def test_the_compiled_sums_equal_the_eager_ones():
    """What a GPU runs compiled, compiled here: the same numbers."""
    blocks = torch.randn(5, 32, 40, generator=torch.Generator().manual_seed(0)).abs().bfloat16().to(CARD)
    largest = blocks.amax(2, keepdim=True).float()
    largest[0, 3] = float("inf")  # a row that only fills up
    with torch.inference_mode():
        ours = torch.compile(device_sums.fused_sums, dynamic=True)(blocks, largest, (0.01, 0.5))
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


@pytest.mark.skipif(CARD == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_a_card_measures_what_the_host_measures(kind):
    """The whole pass in float32, groups and routing too: sums to rounding, counts but for close ties."""
    model = loading.create(networks.CONFIGS[kind], 0).eval().requires_grad_(False)
    blocks, random = ffn.feed_forwards(model), np.random.default_rng(0)
    ids = [random.integers(0, 320, int(n)) for n in random.integers(5, 60, 24)]
    keeps, got = [np.arange(len(tokens)) > 2 for tokens in ids], []
    options = {"top_k": (0.1, 3), "thresholds": (0.01, 0.1), "groups": 6, "batch_tokens": 256}
    for device in ("cpu", CARD):
        got.append(activation_pass.measure(model.to(device), blocks, ids, keeps, {}, options))
    for name, values in got[0].items():
        counts = np.issubdtype(np.asarray(values).dtype, np.integer)
        np.testing.assert_allclose(got[1][name], values, rtol=1e-4, atol=2 if counts else 1e-4, err_msg=name)
    assert np.array_equal(got[1]["tokens"], got[0]["tokens"]) and got[0]["sum_abs"].sum() > 0


@pytest.mark.parametrize("implementation", ["eager", "batched_mm"])
def test_experts_are_seen_whatever_computes_them(implementation):
    """h taken out of the grouped matrix product equals h computed again beside another implementation."""
    model = loading.create(networks.MIXTURE, 0).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    ids = [random.integers(0, 320, int(n)) for n in random.integers(5, 40, 12)]
    keeps = [random.random(len(tokens)) > 0.2 for tokens in ids]
    got = []
    for name in ("grouped_mm", implementation):
        model.set_experts_implementation(name)
        statistics = accumulators.ActivationStatistics(ffn.feed_forwards(model), top_k=(0.1, 3))
        activation_pass.run(model, ids, keeps, statistics, 128)
        got.append(statistics.arrays())
    for name, values in got[0].items():
        np.testing.assert_allclose(got[1][name], values, rtol=1e-4, atol=2, err_msg=name)
    np.testing.assert_allclose(got[1]["sum_abs"], got[0]["sum_abs"], rtol=1e-4, atol=1e-6)
    assert np.array_equal(got[1]["routed_tokens"], got[0]["routed_tokens"])


def test_nothing_stays_on_the_experts():
    model = loading.create(networks.MIXTURE, 0).eval()
    experts = model.model.layers[0].mlp.experts
    with pytest.raises(RuntimeError, match="stop"), ffn_activations(model, print):
        assert "_apply_gate" in vars(experts)
        raise RuntimeError("stop")
    assert "_apply_gate" not in vars(experts) and not experts._forward_pre_hooks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_columns_leave_the_weights_alone(dtype):
    model = loading.create(networks.MIXTURE, 0).to(dtype)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    block = ffn.feed_forwards(model)[0]
    norms = block.down_norms()
    shared = block.mlp.shared_expert.down_proj.weight.double().norm(dim=0)
    torch.testing.assert_close(norms[-len(shared) :], shared)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
