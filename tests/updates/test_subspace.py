"""Subspaces on tensors whose answer is known by construction."""

from types import SimpleNamespace

import pytest
import torch

from implicit_sparsity.models import adapters, ffn, loading, losses, lowrank
from implicit_sparsity.updates import subspace


def planted(experts=1, tokens=200, width=24, rank=5, noise=0.0, seed=0):
    """(samples in a known subspace, its orthonormal basis [experts, width, rank])."""
    g = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(experts, width, rank, generator=g))[0]
    x = torch.randn(experts, tokens, rank, generator=g) @ basis.transpose(1, 2)
    return x + noise * torch.randn(experts, tokens, width, generator=g), basis


@pytest.mark.parametrize("experts", [1, 3])
def test_planted_subspace_is_found(experts):
    x, truth = planted(experts)
    result, held = subspace.extend(None, x, energy=0.9999, max_rank=16, seed=0)
    assert result.shape == (experts, 24, 5) and held == pytest.approx(1, abs=1e-4)
    overlap = (result.transpose(1, 2) @ truth).square().sum((1, 2)) / 5
    torch.testing.assert_close(overlap, torch.ones(experts))
    torch.testing.assert_close(
        result.transpose(1, 2) @ result, torch.eye(5).expand(experts, 5, 5), atol=1e-5, rtol=0
    )


def test_rank_is_the_smallest_that_holds_the_energy():
    """Variances 8, 4, 2, 1, 1 of 16: half needs one direction, three quarters two, 0.9 four."""
    x = torch.linalg.qr(torch.randn(100, 5, generator=torch.Generator().manual_seed(0)))[0]
    x = (x * torch.tensor([8.0, 4, 2, 1, 1]).sqrt())[None]
    for energy, rank in ((0.49, 1), (0.74, 2), (0.87, 3), (0.9, 4), (1.0, 5)):
        assert subspace.extend(None, x, energy, 5, seed=0)[0].shape[2] == rank
    short, held = subspace.extend(None, x, energy=0.99, max_rank=2, seed=0)
    assert short.shape[2] == 2 and held == pytest.approx(12 / 16, rel=1e-3)


def test_what_is_known_is_not_added_again():
    x, truth = planted()
    same, _ = subspace.extend(truth, x, energy=0.999, max_rank=8, seed=0)
    assert same.shape[2] == 5
    y, other = planted(seed=1)
    both, held = subspace.extend(truth, y, energy=0.9999, max_rank=8, seed=0)
    assert both.shape[2] == 10 and held == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(both.transpose(1, 2) @ both, torch.eye(10)[None], atol=1e-5, rtol=0)
    assert (both.transpose(1, 2) @ other).square().sum() == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize("energy", [0.6, 0.95, 0.9995])
@pytest.mark.parametrize("tokens", [10, 200])
def test_directions_are_the_leading_singular_vectors(tokens, energy):
    """Fewer samples than the input is wide, and more; in float32, and (the last) float64."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(1, tokens, 24, generator=g) * torch.logspace(0, -1.5, 24)
    _, values, right = torch.linalg.svd(x[0].double(), full_matrices=False)
    shares = values.square().cumsum(0) / values.square().sum()
    wanted = int((shares < energy).sum()) + 1
    result, held = subspace.extend(None, x, energy, 24, seed=0)
    assert result.shape == (1, 24, wanted)
    assert held == pytest.approx(float(shares[wanted - 1]), rel=1e-5)
    inside = (result[0].double().T @ right[:wanted].T).square().sum()
    assert float(inside) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_samples_are_of_all_but_first_tokens_and_those_are_had_apart(nano, kind):
    """Two documents of one first token and one of another: their inputs, from the same network alone."""
    model = adapters.add_lora(loading.load(nano(kind)[0]), 2, 2.0)
    factors = lowrank.factors(model)
    ids = torch.tensor([[5, 6, 7], [5, 8, 9], [4, 6, 7]])
    batch = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1]])}
    everything = subspace.input_samples(model, [batch], factors, skip_first=0)
    rest = subspace.input_samples(model, [batch], factors)
    (alone,) = subspace.first_tokens([batch])
    assert sorted(alone["input_ids"].flatten().tolist()) == [4, 5]
    first = subspace.input_samples(model, [alone], factors, skip_first=0)
    assert everything.keys() == rest.keys() == first.keys()
    for name, x in everything.items():
        if len(x) == 1:  # of fused experts a token has one row for each of its experts
            assert x.shape[1] == 8 and rest[name].shape[1] == 5 and first[name].shape[1] == 2
            torch.testing.assert_close(rest[name][0], x[0, [1, 2, 4, 6, 7]], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(first[name][0].flip(0), x[0, [0, 5]], atol=1e-5, rtol=1e-4)


def test_an_expert_that_saw_nothing_claims_nothing():
    x, _ = planted(experts=2)
    x[1] = 0
    result, _ = subspace.extend(None, x, energy=0.999, max_rank=8, seed=0)
    assert result[0].norm() > 2 and result[1].norm() == 0


def test_experts_of_different_rank_keep_their_own_spans():
    """Experts claim 2 and 5 directions, then 5 and 2: old spans stay inside, padding turns nothing."""
    first, second = planted(experts=2, seed=0)[0], planted(experts=2, seed=1)[0]
    low = planted(experts=2, rank=2, seed=2)
    first[0], second[1] = low[0][0], low[0][1]
    basis, _ = subspace.extend(None, first, energy=0.9999, max_rank=16, seed=0)
    assert (basis.norm(dim=1) > 0.5).sum(1).tolist() == [2, 5]
    grown, _ = subspace.extend(basis, second, energy=0.9999, max_rank=16, seed=0)
    assert (grown.norm(dim=1) > 0.5).sum(1).tolist() == [7, 7] and grown.shape[2] == 7
    for samples in (first, second):
        outside = samples - (samples @ grown) @ grown.transpose(1, 2)
        assert outside.norm() < 1e-4 * samples.norm()
    torch.testing.assert_close(grown.transpose(1, 2) @ grown, torch.eye(7).expand(2, 7, 7), atol=1e-5, rtol=0)


def test_a_subspace_that_fills_the_space_stops_there():
    """More domains than dimensions: the basis never has more columns than the input is wide."""
    basis = None
    for seed in range(4):
        x, _ = planted(experts=2, width=8, rank=5, seed=seed)
        basis, held = subspace.extend(basis, x, energy=0.9999, max_rank=8, seed=0)
    assert basis.shape == (2, 8, 8) and held == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(basis.transpose(1, 2) @ basis, torch.eye(8).expand(2, 8, 8), atol=1e-5, rtol=0)


def fake_factors(monkeypatch, a, b):
    factor = SimpleNamespace(views=(a, b))
    monkeypatch.setattr(lowrank, "factors", lambda model: {"w": factor})
    return factor


@pytest.mark.parametrize("experts", [1, 4])
def test_change_norms_equal_those_of_the_full_matrices(monkeypatch, experts):
    g = torch.Generator().manual_seed(0)
    a0, b0, a1, b1 = (torch.randn(experts, *s, generator=g) for s in ((3, 20), (12, 3)) * 2)
    _, basis = planted(experts, width=20, rank=4)
    fake_factors(monkeypatch, a1, b1)
    forbidden, total = lowrank.change_norms(None, {"w": (a0, b0)}, {"w": basis})
    change = b1 @ a1 - b0 @ a0
    assert total == pytest.approx(change.norm().item(), rel=1e-5)
    assert forbidden == pytest.approx((change @ basis).norm().item(), rel=1e-5)


def test_projection_takes_out_the_subspace_and_nothing_else(monkeypatch):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(1, 3, 20, generator=g), torch.randn(1, 12, 3, generator=g)
    _, basis = planted(width=20, rank=4)
    before, factor = a.clone(), fake_factors(monkeypatch, a, b)
    subspace.project_out({"w": factor}, {"w": basis})
    assert (a @ basis).norm() < 1e-6 * before.norm()
    outside = torch.eye(20) - basis[0] @ basis[0].T
    torch.testing.assert_close(a, before @ outside, atol=1e-5, rtol=0)
    subspace.project_out({"w": factor}, {"w": basis}, strength=0.0)
    torch.testing.assert_close(a, before @ outside, atol=1e-5, rtol=0)


def test_gradient_samples_have_the_right_singular_vectors_of_autograds_own_gradients(nano):
    """Against torch.autograd.grad of the whole weights, document by document, fused experts included."""
    for kind in ("dense", "mixture"):
        model = adapters.add_lora(loading.load(nano(kind)[0]), 2, 2.0)
        result = lowrank.factors(model)
        ids = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(1))
        mask = torch.ones_like(ids)
        batches = [
            {"input_ids": row[None], "attention_mask": mask[:1], "labels": row[None].roll(-1, 1)}
            for row in ids
        ]
        samples = subspace.gradient_samples(model, batches, result, 64, seed=0)
        assert not [n for n, p in model.named_parameters() if "lora" not in n and p.requires_grad]
        grams = dict.fromkeys(result, 0.0)
        for batch in batches:
            taken = {}
            for name, factor in result.items():
                weight = getattr(ffn.base_layer(factor.module), factor.parameter or "weight")
                taken[name] = weight.requires_grad_(True)
            got = torch.autograd.grad(losses.completion_loss(model, batch), list(taken.values()))
            for name, g in zip(taken, got, strict=True):
                g = g if g.dim() == 3 else g[None]
                grams[name] = grams[name] + g.transpose(1, 2) @ g
        for name, x in samples.items():
            wanted = grams[name]
            torch.testing.assert_close(
                x.transpose(1, 2) @ x, wanted, atol=1e-4 * wanted.abs().max().item(), rtol=1e-3
            )


def old_and_new(width=24, seed=0):
    g = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(width, width, generator=g))[0]
    return q[:, :4], q[:, 4:8], g


def test_frozen_directions_are_the_leading_ones_outside():
    """Inputs mostly old, a little new: the rows are the new part's, in the order of its energy."""
    old, new, g = old_and_new()
    strengths = torch.tensor([8.0, 4.0, 2.0, 1.0])
    x = (
        50 * torch.randn(1, 300, 4, generator=g) @ old.T
        + (torch.randn(1, 300, 4, generator=g) * strengths) @ new.T
    )
    rows = subspace.leading(x, old[None], 4, seed=0)
    assert (rows @ old).norm() < 1e-5
    overlap = (rows[0] @ new).square()
    torch.testing.assert_close(overlap.sum(), torch.tensor(4.0), atol=1e-3, rtol=0)
    assert overlap[0, 0] > 0.9 and overlap[3, 3] > 0.9
    without = subspace.leading(x, None, 4, seed=0)
    assert (without[0] @ old).square().sum() > 3.99, "nothing removed: the old ones lead"


def test_frozen_directions_are_filled_up_outside_and_end_with_the_space():
    old, new, g = old_and_new(width=10)
    x = torch.randn(2, 50, 1, generator=g) @ new[:, :1].T
    x[1] = 0  # an expert without tokens
    rows = subspace.leading(x, old[None], 8, seed=0)
    assert rows.shape == (2, 8, 10) and (rows @ old).norm() < 1e-5
    assert ((rows.norm(dim=2) - 1).abs() < 1e-4).sum(1).tolist() == [6, 6], "10 - 4 directions are left"
    assert (rows.norm(dim=2) < 1e-4).sum(1).tolist() == [2, 2]
    assert (rows[0, 0] @ new[:, 0]).abs() > 0.999


def test_fixed_rank_takes_so_many_but_none_that_are_not_there():
    old, _, g = old_and_new()
    x = torch.randn(1, 100, 4, generator=g) @ old.T
    for fixed, rank in ((2, 2), (4, 4), (6, 4)):
        result, _ = subspace.extend(None, x, 0.1, 8, 0, fixed)
        assert result.shape[2] == rank
    assert subspace.extend(old[None], x, 0.1, 8, 0, 3)[0].shape[2] == 4, "nothing new is in these samples"


def test_random_subspaces_have_the_ranks_given_and_grow():
    basis = torch.eye(12).expand(2, 12, 12)[:, :, :5].clone()
    basis[1, :, 3:] = 0
    small, large = subspace.random_like(basis[:, :, :3], 7), subspace.random_like(basis, 7)
    torch.testing.assert_close(small, large[:, :, :3])
    gram = large.transpose(1, 2) @ large
    torch.testing.assert_close(gram[0], torch.eye(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(gram[1], torch.diag(torch.tensor([1.0, 1, 1, 0, 0])), atol=1e-5, rtol=0)
    assert not torch.allclose(large, subspace.random_like(basis, 8))
