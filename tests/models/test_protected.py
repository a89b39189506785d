"""Energy that a subspace, a mask or weighted directions hold of planted vectors."""

import pytest
import torch

from implicit_sparsity.models.protected import Protected, row_span, whole_subspace


def test_energy_of_a_planted_subspace():
    """Two of four directions of a turned basis, with 9 + 4 of the energy 30; none of a vector outside."""
    turn = torch.linalg.qr(torch.randn(6, 4, dtype=torch.float64)).Q
    x = torch.stack([turn @ torch.tensor([3.0, 2, 4, 1]).double(), turn[:, 3]])
    held = whole_subspace(turn[None, :, :2]).energy(x)
    torch.testing.assert_close(held, torch.tensor([13.0, 0], dtype=torch.float64), atol=1e-12, rtol=0)
    padded = torch.cat([turn[:, :2], torch.zeros(6, 3)], 1)[None]
    torch.testing.assert_close(whole_subspace(padded).energy(x), held)


def test_weighted_directions_and_the_rest():
    """Weights .5 and 1 of two axes, .25 of all others: 9 / 2 + 4 + (16 + 1) / 4."""
    basis = torch.eye(4, dtype=torch.float64)[None, :, :2]
    x = torch.tensor([[3.0, 2, 4, 1]], dtype=torch.float64)
    guard = Protected(torch.tensor([[0.5, 1.0]]), basis, rest=0.25)
    assert guard.energy(x).item() == pytest.approx(4.5 + 4 + 17 / 4)


def test_masks_of_coordinates_and_of_whole_experts():
    x = torch.tensor([[3.0, 2, 4, 1]])
    assert Protected(torch.tensor([[1.0, 0, 0, 1]])).energy(x).item() == 10
    experts = Protected(torch.tensor([[0.0], [1.0]]))
    assert [experts.energy(x, expert).item() for expert in (0, 1)] == [0, 30]


def test_the_span_of_rows_that_depend_on_each_other():
    rows = torch.tensor([[[1.0, 1, 0, 0], [2.0, 2, 0, 0], [0.0, 0, 3, 0]]])
    x = torch.tensor([[1.0, 1, 5, 7], [1.0, -1, 0, 2]])
    torch.testing.assert_close(row_span(rows).energy(x), torch.tensor([27.0, 0]).double(), atol=1e-5, rtol=0)
