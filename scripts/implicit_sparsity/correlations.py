"""Two correlations that share a variable, compared. Vectors of n observations in, floats out."""

import math

import numpy as np


def rank_correlation(x, y) -> float:
    """Spearman's rho; 0 where one of the two does not vary."""
    from scipy.stats import rankdata

    x, y = (rankdata(np.asarray(v, dtype=np.float64)) for v in (x, y))
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0


def fisher(r: float, n: int, rank: bool = True) -> tuple[float, float]:
    """95 % interval of a correlation of n: tanh(atanh r +- 1.96 sqrt(c / (n - 3))), c = 1.06 of ranks
    (Fieller, Hartley & Pearson 1957)."""
    reach = 1.959963984540054 * math.sqrt((1.06 if rank else 1.0) / (n - 3))
    middle = math.atanh(min(max(r, -1 + 1e-9), 1 - 1e-9))
    return math.tanh(middle - reach), math.tanh(middle + reach)


def zou(r1: float, r2: float, between: float, n: int, rank: bool = True):
    """(r1 - r2, low, high): r1, r2 of two predictors with one outcome, ``between`` of the two predictors.

    Zou 2007 (Psychological Methods 12, 399-413), overlapping correlations: from the intervals of both, and
    how the two go together.
    """
    (l1, u1), (l2, u2) = (fisher(r, n, rank) for r in (r1, r2))
    rest = (1 - r1**2) * (1 - r2**2)
    both = (between - r1 * r2 / 2) * (1 - r1**2 - r2**2 - between**2) + between**3
    c = min(max(both / rest, -1.0), 1.0) if rest > 0 else 0.0
    low = (r1 - l1) ** 2 + (u2 - r2) ** 2 - 2 * c * (r1 - l1) * (u2 - r2)
    high = (u1 - r1) ** 2 + (r2 - l2) ** 2 - 2 * c * (u1 - r1) * (r2 - l2)
    return r1 - r2, r1 - r2 - math.sqrt(max(low, 0.0)), r1 - r2 + math.sqrt(max(high, 0.0))


def zou_difference(outcome, first, second):
    """(value, low, high): |rho| of ``first`` with ``outcome`` less |rho| of ``second``, ranks."""
    r1, r2 = (rank_correlation(x, outcome) for x in (first, second))
    between = rank_correlation(first, second) * np.sign(r1 or 1) * np.sign(r2 or 1)
    return zou(abs(r1), abs(r2), float(between), len(outcome))
