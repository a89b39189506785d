"""Zeroed entries of the curvature: their corners, and a loss that they leave alone."""

import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.updates import curvature_mask


def side(values, width=None, seed=0, beyond=0.0):
    """Eigenvalues on random orthonormal directions."""
    random = torch.randn(width or len(values), len(values), generator=torch.Generator().manual_seed(seed))
    return curvature_mask.Side(torch.linalg.qr(random.double()).Q, torch.tensor(values).double(), beyond)


def moment(one):
    return one.basis @ torch.diag(one.values) @ one.basis.T


def loss(one, other, dw):
    """1/2 vec(dW)' (A (x) G) vec(dW), A and G of inputs and gradients."""
    return 0.5 * float((moment(other) @ dw @ moment(one) * dw).sum())


class Factor:
    """Factors of a LoRA in the shape that lowrank.Factors shows them."""

    def __init__(self, o, i, r):
        torch.manual_seed(1)
        self.a = torch.nn.Parameter(torch.randn(r, i))
        self.b = torch.nn.Parameter(torch.randn(o, r))

    @property
    def views(self):
        return self.a.unsqueeze(0), self.b.unsqueeze(0)


def test_zeroed_entries_are_a_staircase_whose_corners_the_ranks_take():
    """Eigenvalues 4, 2, 1 a side, 49 in all: 0.8 of it (39.2) needs 16, 8, 8 and the entries of 4 (44)."""
    mask = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1]), side([4.0, 2, 1], seed=1), torch.tensor([7.0, 7]), 0.8, 5
    )
    assert mask.zeroed[:3, :3].int().tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert mask.held == pytest.approx(44 / 49) and mask.budget == 2.0
    pairs = list(zip(mask.off_b.sum(1).tolist(), mask.off_a.sum(1).tolist()))
    assert set(pairs) == {(1, 2), (2, 1)}, "no rank may write row 0 or column 0: no entry of them is free"
    wide = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1], 6), side([4.0, 2, 1], 6, 1), torch.tensor([7.0, 7]), 0.8, 5
    )  # three more directions a side, without curvature
    pairs = list(zip(wide.off_b.sum(1).tolist(), wide.off_a.sum(1).tolist()))
    assert set(pairs) == {(0, 3), (1, 2), (2, 1), (3, 0)}
    bounded = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1], 6, beyond=1.0), side([4.0, 2, 1], 6, 1, 1.0), torch.tensor([10.0, 10]), 0.44, 5
    )
    assert bounded.zeroed.int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    nothing = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1]), side([4.0, 2, 1]), torch.tensor([7.0, 7]), 0.0, 5
    )
    assert not nothing.zeroed.any() and not nothing.off_a.any() and not nothing.off_b.any()
    with pytest.raises(InputError, match="no entry of an update is below the budget: lower energy"):
        curvature_mask.CurvatureMask.of(side([4.0, 2, 1]), side([4.0, 2, 1]), torch.tensor([7.0, 7]), 1.0, 5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_projected_update_leaves_a_quadratic_loss_of_that_curvature_alone(energy):
    """Free entries cost at most half the budget times ||dW||^2; with all curvature zeroed, nothing. Every
    zeroed entry is zero, in the full eigenbasis, and the norm that the audit sees is right."""
    inputs, gradients = side([8.0, 3, 1, 0.2], 12), side([5.0, 4, 0.5], 9, 1)
    traces = torch.tensor([12.2, 9.5]).double()
    mask = curvature_mask.CurvatureMask.of(inputs, gradients, traces, energy, 6)
    factor = Factor(9, 12, 6)
    left, right = factor.b.detach().double(), factor.a.detach().double()
    free = left @ right
    entries = gradients.basis.T @ free @ inputs.basis * mask.zeroed[:-1, :-1]
    inside, total = mask.norms(left, right)
    assert not mask.zeroed[-1].any() and not mask.zeroed[:, -1].any()
    assert inside == pytest.approx(float(entries.square().sum()), rel=1e-9) and inside > 0
    assert total == pytest.approx(float(free.square().sum()), rel=1e-9)
    mask.project(factor)
    left, right = factor.b.detach().double(), factor.a.detach().double()
    dw = left @ right
    limit = 0.5 * mask.budget * float(dw.square().sum())
    assert float(dw.square().sum()) > 0.01 * total
    assert loss(inputs, gradients, dw) <= limit + 1e-9
    assert loss(inputs, gradients, dw) < (1 - energy / 2) * loss(inputs, gradients, free)
    assert energy < 1 or (mask.budget == 0 and loss(inputs, gradients, dw) < 1e-9)
    assert mask.norms(left, right)[0] < 1e-12 * total
