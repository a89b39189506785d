"""What of a weight's input (or output) a method protects from its update: one form for all methods.

A subspace, its directions weighted from 0 (open to the update) to 1 (protected): the energy that it holds of
x is rest * ||x||^2 + sum_k (w_k - rest) (v_k' x)^2. Shapes: X experts (1 of a linear layer, or of what all
experts share), n width, k directions, T tokens.
"""

from dataclasses import dataclass

import torch

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Protected:
    """``weights`` [X, k] of the orthonormal columns of ``basis`` [X, n, k] (zero columns span nothing), or,
    without a basis, of the coordinates, k = n, or 1 for all of them alike; ``rest``: weight of all that is
    orthogonal to the basis; ``side``: whether of the weight's input or of its output."""

    weights: object
    basis: object = None
    rest: float = 0.0
    side: str = INPUT

    def energy(self, x, expert: int = 0):
        """Energy [T] that is held of each row of x [T, n], float64."""
        weights = self.weights[expert if len(self.weights) > 1 else 0].to(x.device).double()
        if self.basis is None:
            return (x.double().square() * weights).sum(1)
        basis = self.basis[expert if len(self.basis) > 1 else 0].to(x.device, x.dtype)
        held = (x @ basis).double().square() @ (weights - self.rest)
        return held + self.rest * x.double().square().sum(1) if self.rest else held


def whole_subspace(basis) -> Protected:
    """The span of orthonormal columns [X, n, k], all of it; columns that are zero span nothing."""
    return Protected(torch.ones(len(basis), basis.shape[2], dtype=torch.float64), basis)


def row_span(rows) -> Protected:
    """The span of the rows of [X, r, n], which need not be independent."""
    _, values, directions = torch.linalg.svd(rows.double(), full_matrices=False)
    used = (values > 1e-6 * values[:, :1]).double()
    return Protected(used, directions.mT.to(rows.dtype))
