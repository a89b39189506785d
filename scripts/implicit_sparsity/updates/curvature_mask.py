"""Updates that keep off the curved entries of a weight, in the eigenbases of its K-FAC curvature.

A = V diag(a) V' of a weight's inputs and G = U diag(b) U' of its outputs' gradients (see ``kfac``): the entry
(j, k) of U' dW V has curvature b_j a_k. Shapes: i input width, o output width, r rank, k_i and k_o
eigenvectors kept of each side.
"""

import logging
import math
from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import lowrank
from implicit_sparsity.models.protected import Protected

from .kfac import GRADIENTS, INPUTS, TRACES

log = logging.getLogger(__name__)


@dataclass
class Side:
    """One side's leading eigenvectors, the columns of ``basis`` [n, k], their eigenvalues descending, float64
    [k], and ``beyond``, which no direction outside them exceeds."""

    basis: object
    values: object
    beyond: float

    @classmethod
    def of(cls, rows, directions: int):
        squares = rows.double().square().sum(1)
        basis = torch.linalg.qr(rows[:directions].double().T).Q  # rows were rounded to float32
        beyond = float(squares[directions]) if len(squares) > directions else 0.0
        return cls(basis, squares[:directions], beyond)

    def shuffled(self, seed: int):
        """The same eigenvalues on random orthonormal directions."""
        random = torch.randn(
            self.basis.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        return Side(torch.linalg.qr(random).Q.to(self.basis.device), self.values, self.beyond)

    def bounds(self):
        """Eigenvalues, and at the end the bound of all other directions, [k + 1]."""
        return torch.cat([self.values, self.values.new_tensor([self.beyond])])

    @property
    def whole(self) -> bool:
        """Whether no direction is left outside."""
        return self.basis.shape[0] == self.basis.shape[1]


@dataclass
class CurvatureMask:
    """The entries of one weight's update that are zeroed, and what each rank of a LoRA may write.

    ``zeroed`` bool [k_o + 1, k_i + 1]: curvature above ``budget``, last row and column for all other
    directions; as eigenvalues descend, a staircase. Rank p writes the rectangle below and right of one of its
    corners: B_p is orthogonal to the first J_p eigenvectors of G, A_p to the first K_p of A, so that no sum
    of ranks has a zeroed entry. ``off_a`` [r, k_i], ``off_b`` [r, k_o]: those first ones. ``held``: the share
    of the curvature on zeroed entries.
    """

    inputs: Side
    gradients: Side
    zeroed: object
    off_a: object
    off_b: object
    budget: float
    held: float

    @classmethod
    def of(cls, inputs: Side, gradients: Side, traces, energy: float, rank: int):
        """The mask that zeroes the fewest entries, the most curved, which hold ``energy`` of all curvature
        tr A tr G; fewer hold it, where the directions kept do not tell entries apart so far. InputError where
        nothing is left to write."""
        curved = torch.outer(gradients.bounds(), inputs.bounds()).cpu()
        products, total = curved[:-1, :-1].flatten().sort(descending=True).values, float(traces.prod())
        short = int((products.cumsum(0) < energy * total * (1 - 1e-12)).sum())  # too few hold too little
        lowest = float(products[min(short, len(products) - 1)]) if energy else math.inf
        zeroed = (curved >= lowest) & (curved > curved[-1, -1])
        held = float((curved * zeroed)[:-1, :-1].sum()) / total if total else 0.0
        j, k = corners(zeroed, gradients.whole, inputs.whole, rank)
        off = (torch.arange(curved.shape[1] - 1) < k[:, None], torch.arange(len(curved) - 1) < j[:, None])
        budget, device = float(curved[~zeroed].max()), inputs.basis.device
        return cls(inputs, gradients, zeroed.to(device), *(x.to(device) for x in off), budget, held)

    def project(self, factor) -> None:
        """Take out of each rank of the factors A [1, r, i] and B [1, o, r], in place, what it must not
        write."""
        (a,), (b,) = factor.views
        v, u = self.inputs.basis, self.gradients.basis
        with torch.no_grad():
            a.copy_(a.double() - ((a.double() @ v) * self.off_a) @ v.T)
            b.copy_(b.double() - u @ ((u.T @ b.double()) * self.off_b.T))

    def protected(self, traces) -> Protected:
        """Of each input direction the share of the outputs' curvature tr G on whose entries nothing is
        written; ``traces``: tr A, tr G."""
        values, total = self.gradients.values, float(traces[1])
        shares = torch.cat([values, values.new_tensor([max(0.0, total - float(values.sum()))])]) / total
        weights = shares @ self.zeroed.double()  # [k_i + 1]
        return Protected(weights[None, :-1], self.inputs.basis[None], float(weights[-1]))

    def norms(self, left, right) -> tuple[float, float]:
        """(||zeroed entries of dW||^2, ||dW||^2) of dW = left [o, m] right [m, i], both float64."""
        v, u = self.inputs.basis, self.gradients.basis
        rows, columns = u.T @ left, right @ v
        other_rows, other_columns = left - u @ rows, right - columns @ v.T
        inside = float(((rows @ columns).square() * self.zeroed[:-1, :-1]).sum())
        inside += _square(other_rows, columns[:, self.zeroed[-1, :-1]])
        inside += _square(rows[self.zeroed[:-1, -1]], other_columns)
        return inside, _square(left, right)


def corners(zeroed, whole_rows: bool, whole_columns: bool, rank: int):
    """(J [rank], K [rank]) of the staircase's corners, evenly spread from those that may write all rows to
    those that may write all columns."""
    result = []
    for j, row in enumerate(zeroed):
        k = int(row.sum())
        inside = j < len(zeroed) - whole_rows and k < len(row) - whole_columns and not row[-1]
        if inside and (not result or k < result[-1][1]):  # a larger rectangle than the one before
            result.append((j, k))
    if not result:
        raise InputError("no entry of an update is below the budget: lower energy")
    at = torch.linspace(0, len(result) - 1, rank).round().long()
    return torch.tensor(result)[at].T


def _square(left, right) -> float:
    """||left right||^2, without forming it."""
    return max(0.0, float((left.T @ left * (right @ right.T)).sum()))


def build(state: dict, devices: dict, options) -> dict:
    """A mask for each adapted weight {name: CurvatureMask}, on its device. ``devices``: name -> device;
    ``options``: energy, max_rank, rank, and seeds, a function of names or None for the measured bases."""
    result = {}
    for name, device in devices.items():
        sides = [
            Side.of(state[f"{name}.{side}"].to(device), options["max_rank"]) for side in (INPUTS, GRADIENTS)
        ]
        if options["seeds"]:
            sides = [
                side.shuffled(options["seeds"](name, place))
                for side, place in zip(sides, (INPUTS, GRADIENTS), strict=True)
            ]
        result[name] = CurvatureMask.of(*sides, state[f"{name}.{TRACES}"], options["energy"], options["rank"])
    least = min(result, key=lambda name: result[name].held)
    log.info("zeroed entries hold %.3f of the curvature of %s, more elsewhere", result[least].held, least)
    return result


def change_norms(model, before: dict, masked: dict) -> tuple[float, float]:
    """(||zeroed entries of dW||, ||dW||) of all masked weights since ``before`` (lowrank.snapshot)."""
    inside = total = 0.0
    for name, factor in lowrank.factors(model).items():
        (a0, b0), (a1, b1) = before[name], (tensor.detach() for tensor in factor.views)
        left, right = torch.cat([b1, -b0], 2)[0].double(), torch.cat([a1, a0], 1)[0].double()
        part, whole = masked[name].norms(left, right)
        inside, total = inside + part, total + whole
    return inside**0.5, total**0.5
