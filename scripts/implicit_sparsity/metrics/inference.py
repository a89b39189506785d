"""Tests of a mean over documents, stratified by domain, and correlations: NumPy in, numbers out.

Every domain counts the same, however many documents it has: the mean of domain means, its variance the sum
of theirs, Welch's degrees of freedom. A domain's error is over its groups (``clusters``). What is tested is a
value a document, such as the difference between two methods on that document; runs are averaged before, so a
p-value here speaks of other groups of documents, not of other seeds.
"""

import math

import numpy as np

from .clusters import Mean, clustered_mean

ALPHA, POWER = 0.05, 0.8


def stratified_mean(strata, groups) -> Mean:
    """Mean of the means of ``strata``, arrays [D_j] of documents each, of the ``groups`` named by [D_j] each.

    NaN error for a stratum below two groups. ``groups`` of the result: of the stratum that has fewest.
    """
    means = [clustered_mean(*stratum) for stratum in zip(strata, groups, strict=True)]
    n, fewest = sum(mean.n for mean in means), min((mean.groups for mean in means), default=0)
    if not fewest:
        return Mean(np.nan, np.nan, np.nan, n, 0)
    value, variances = float(np.mean([mean.value for mean in means])), np.array([m.se for m in means]) ** 2
    total, freedom = variances.sum(), np.array([mean.df for mean in means])
    df = total**2 / (variances**2 / freedom).sum() if total != 0 else freedom.sum()
    return Mean(value, float(np.sqrt(total)) / len(means), float(df), n, fewest)


def p_value(mean: Mean, null: float = 0.0) -> float:
    """Two-sided p of Student's t: is the mean ``null``?"""
    return float(np.minimum(1.0, 2 * _tail(abs(mean.value - null), mean)))


def tost(mean: Mean, margin: float) -> float:
    """p of two one-sided tests (Schuirmann 1987): small where the mean is within -margin and margin."""
    return float(np.maximum(_tail(mean.value + margin, mean), _tail(margin - mean.value, mean)))


def detectable(mean: Mean, alpha: float = ALPHA, power: float = POWER) -> float:
    """Smallest true mean that a two-sided test at ``alpha`` finds with this power, by its standard error."""
    from scipy.special import stdtrit

    return float((stdtrit(mean.df, 1 - alpha / 2) + stdtrit(mean.df, power)) * mean.se)


def holm(p) -> np.ndarray:
    """Holm's (1979) adjusted p-values; NaN is no test, and counts for none."""
    p = np.asarray(p, dtype=np.float64)
    result, tested = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    result[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return result


def _tail(above: float, mean: Mean) -> float:
    """P(T > above / se); without any spread it is 0, 1/2 or 1."""
    from scipy.special import stdtr

    if np.isnan(above) or np.isnan(mean.se):
        return float("nan")
    if mean.se == 0:
        return 0.5 if above == 0 else float(above < 0)
    return float(stdtr(mean.df, -above / mean.se))


def ranks(x) -> np.ndarray:
    """Ranks from 0 over the last axis, float64; equal values share their mean rank."""
    x = np.asarray(x)
    order = x.argsort(axis=-1)  # equal values in any order: they share their rank
    place, ascending = np.arange(x.shape[-1], dtype=np.float64), np.take_along_axis(x, order, axis=-1)
    tied = ascending[..., 1:] == ascending[..., :-1]
    if tied.any():
        place = _shared(place, tied)
    result = np.empty(x.shape)
    np.put_along_axis(result, order, np.broadcast_to(place, x.shape), axis=-1)
    return result


def _shared(place, tied) -> np.ndarray:
    """Places of n sorted values, the mean of first and last where ``tied [.., n - 1]`` to the next."""
    apart, edge = ~tied, np.ones((*tied.shape[:-1], 1), dtype=bool)
    begins, ends = np.concatenate([edge, apart], axis=-1), np.concatenate([apart, edge], axis=-1)
    first = np.maximum.accumulate(np.where(begins, place, 0.0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, place, place[-1])[..., ::-1], axis=-1)[..., ::-1]
    return (first + last) / 2


def correlation(x, y) -> np.ndarray:
    """Pearson's r over the last axis, broadcast before it; of ``ranks``, Spearman's. NaN without spread."""
    x, y = (np.asarray(v, dtype=np.float64) for v in (x, y))
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=-1) / np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))


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
