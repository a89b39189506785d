"""Tests of a mean over documents, stratified by domain: NumPy in, numbers out.

Every domain counts the same, however many documents it has: the mean of domain means, its variance the sum
of theirs, Welch's degrees of freedom. What is tested is a value a document, such as the difference between
two methods on that document; runs are averaged before, so a p-value here speaks of other documents, not of
other seeds.
"""

from typing import NamedTuple

import numpy as np

ALPHA, POWER = 0.05, 0.8


class Mean(NamedTuple):
    """A mean, its standard error, degrees of freedom, documents."""

    value: float
    se: float
    df: float
    n: int


def stratified_mean(strata) -> Mean:
    """Mean of the means of ``strata``, arrays [D_j] of documents each; NaN error for a stratum below two."""
    strata = [np.asarray(values, dtype=np.float64) for values in strata]
    n = sum(map(len, strata))
    if not strata or not all(map(len, strata)):
        return Mean(np.nan, np.nan, np.nan, n)
    value = float(np.mean([values.mean() for values in strata]))
    if min(map(len, strata)) < 2:
        return Mean(value, np.nan, np.nan, n)
    variances = np.array([values.var(ddof=1) / len(values) for values in strata])
    se, total = np.sqrt(variances.sum()) / len(strata), variances.sum()
    freedom = np.array([len(values) - 1 for values in strata])
    df = total**2 / (variances**2 / freedom).sum() if total > 0 else freedom.sum()
    return Mean(value, float(se), float(df), n)


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
    found, tested = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return found


def _tail(above: float, mean: Mean) -> float:
    """P(T > above / se); without any spread it is 0, 1/2 or 1."""
    from scipy.special import stdtr

    if np.isnan(above) or np.isnan(mean.se):
        return float("nan")
    if mean.se == 0:
        return 0.5 if above == 0 else float(above < 0)
    return float(stdtr(mean.df, -above / mean.se))
