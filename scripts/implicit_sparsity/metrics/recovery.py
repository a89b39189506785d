"""How much of what was forgotten comes back: means and a ratio over documents of one domain or of several.

Losses of the same documents are compared, so each document has a difference of its own. A domain's mean is
over its documents, with the jackknife over groups (``clusters``); of several domains, which are fixed, the
mean weighs each alike, and squared errors add up. Shapes: n documents of a domain.
"""

from typing import NamedTuple

import numpy as np

from . import clusters


class Part(NamedTuple):
    """(value, low, high) of a mean or a share, with documents n and the groups of the domain that has
    fewest."""

    value: float
    low: float
    high: float
    n: int
    groups: int


def mean(values: list, groups: list) -> Part:
    """Mean over domains of the mean over documents; ``values``, ``groups``: [n] of each domain."""
    means = [clusters.clustered_mean(*pair) for pair in zip(values, groups, strict=True)]
    value = float(np.mean([part.value for part in means]))
    variances = np.array([part.se**2 for part in means]) / len(means) ** 2
    reach = _reach(variances, means)
    return Part(value, value - reach, value + reach, *_counts(means))


def share(part: list, whole: list, groups: list) -> Part:
    """mean(part) / mean(whole), each as ``mean`` has it: the shares s that the documents do not refute.

    Fieller 1954: |mean(part) - s mean(whole)| <= t * its error. Undefined (NaN) unless ``whole`` is positive
    beyond its own 95 % interval: of nothing there is no share. t: Student's with Satterthwaite's degrees of
    freedom, at the share found.
    """
    bottom = mean(whole, groups)
    means = [clusters.clustered_mean(*pair) for pair in zip(part, groups, strict=True)]
    counts, undefined = _counts(means), (np.nan,) * 3
    if not bottom.low > 0:
        return Part(*undefined, *counts)
    top = float(np.mean([each.value for each in means]))
    value = top / bottom.value
    at_value = [p - value * w for p, w in zip(part, whole, strict=True)]
    means = [clusters.clustered_mean(*pair) for pair in zip(at_value, groups, strict=True)]
    squares = _quantile([each.se**2 for each in means], means) ** 2 / len(means) ** 2
    a = bottom.value**2 - squares * _variance(whole, groups)
    b = top * bottom.value - squares * _covariance(part, whole, groups)
    c = top**2 - squares * _variance(part, groups)
    if not a > 0:
        return Part(*undefined, *counts)
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return Part(value, float((b - root) / a), float((b + root) / a), *counts)


def _variance(values, groups) -> float:
    """Sum over domains of the squared errors of their means."""
    return sum(clusters.clustered_mean(*pair).se ** 2 for pair in zip(values, groups, strict=True))


def _covariance(a, b, groups) -> float:
    together = _variance([x + y for x, y in zip(a, b, strict=True)], groups)
    return (together - _variance(a, groups) - _variance(b, groups)) / 2


def _quantile(variances, means) -> float:
    """97.5 % of Student's t, with the degrees of freedom of a sum of ``variances`` (Satterthwaite 1946)."""
    from scipy.special import stdtrit

    variances, freedom = np.asarray(variances, dtype=np.float64), np.array([part.df for part in means])
    total = variances.sum()
    of_sum = total**2 / (variances**2 / freedom).sum() if total > 0 else freedom.sum()
    return float(stdtrit(of_sum, 0.975))


def _reach(variances, means) -> float:
    return _quantile(variances, means) * float(np.sqrt(variances.sum()))


def _counts(means) -> tuple[int, int]:
    return sum(part.n for part in means), min(part.groups for part in means)
