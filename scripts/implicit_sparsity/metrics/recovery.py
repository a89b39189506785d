"""How much of what was forgotten comes back: means and a ratio over documents of one domain or of several.

Losses of the same documents are compared, so each document has a difference of its own. A domain's mean is
over its documents, with the jackknife over groups (``clusters``); of several domains, which are fixed, the
mean weighs each alike, and squared errors add up. Shapes: n documents of a domain.
"""

from typing import NamedTuple

import numpy as np

from . import inference, intervals


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
    whole = inference.stratified_mean(values, groups)
    return Part(whole.value, *intervals.mean_interval(whole), whole.n, whole.groups)


def share(part: list, whole: list, groups: list) -> Part:
    """mean(part) / mean(whole), each as ``mean`` has it: the shares s that the documents do not refute.

    Fieller 1954: |mean(part) - s mean(whole)| <= t * its error. Undefined (NaN) unless ``whole`` is positive
    beyond its own 95 % interval: of nothing there is no share. t: Student's with Satterthwaite's degrees of
    freedom, at the share found.
    """
    from scipy.special import stdtrit

    bottom, top = mean(whole, groups), mean(part, groups)
    undefined = Part(np.nan, np.nan, np.nan, bottom.n, bottom.groups)
    if not bottom.low > 0:
        return undefined
    value = top.value / bottom.value
    at_value = [p - value * w for p, w in zip(part, whole, strict=True)]
    square = stdtrit(inference.stratified_mean(at_value, groups).df, 0.975) ** 2
    a = bottom.value**2 - square * _variance(whole, groups)
    b = top.value * bottom.value - square * _covariance(part, whole, groups)
    c = top.value**2 - square * _variance(part, groups)
    if not a > 0:
        return undefined
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return Part(value, float((b - root) / a), float((b + root) / a), bottom.n, bottom.groups)


def _variance(values, groups) -> float:
    """Squared error of the mean over domains."""
    return inference.stratified_mean(values, groups).se ** 2


def _covariance(a, b, groups) -> float:
    together = _variance([x + y for x, y in zip(a, b, strict=True)], groups)
    return (together - _variance(a, groups) - _variance(b, groups)) / 2
