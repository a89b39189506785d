"""Means, and intervals over groups of documents and repeated runs: NumPy in, NumPy out.

The group of documents is the unit (``clusters``). Groups come as parts (one group each, where there are few;
here called groups) of each half of each domain. What is estimated is the expectation of a statistic of sums
over groups at the same budget. Its interval is theta +- t * sqrt(var), by the delete-d jackknife (Shao & Wu
1989): random draws leave out d of G groups, and the variance over draws is multiplied by (G - d) / d.

* Of top-k sets (``half_samples``): half of the groups of one half of one domain is left out, the others kept
  whole; var is the sum over the halves of domains, t has G - 1 degrees of freedom.
* Of smooth statistics (``quarter_samples``): a quarter of the groups of all halves at once; t has the sum of
  G - 1 over the halves.

A bootstrap draws documents twice, its halves are noisier than the real ones, and of planted overlaps (1,000
neurons, 24 documents) percentile intervals covered the truth in 0 to 100 % of cases, basic ones in 25 to 80
%; leaving out one document at a time counts each neuron at the border of a set as noise of its own, and
makes intervals twice too wide. How these two cover is measured in tests/metrics/test_separation.py.
"""

import numpy as np

from . import clusters

DRAWS = 48  # of each half of a domain
FEWEST = 4  # groups below which no interval is given
SCALES = {  # name: (to the scale, back)
    "linear": (np.asarray, np.asarray),
    "log": (np.log, np.exp),  # of what is positive
    "fisher": (np.arctanh, np.tanh),  # -1 to 1
    "logit": (lambda x: np.log(x / (1 - x)), lambda y: 1 / (1 + np.exp(-y))),  # 0 to 1
    "angle": (lambda x: np.log(np.tan(x)), lambda y: np.arctan(np.exp(y))),  # 0 to pi/2
}


def half_samples(groups: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Which groups are kept: float64 ``[draws, groups]`` of 0 and 1, ``groups // 2`` ones in a row."""
    return (_orders(groups, draws, seed) < groups // 2).astype(np.float64)


def half_sample_variance(replicates, groups: int) -> np.ndarray:
    """One half's part of the variance from ``replicates [draws, ...]``; NaN where a draw is undefined."""
    if groups < FEWEST:
        return np.full(np.shape(replicates)[1:], np.nan)
    retained = groups // 2
    return retained / (groups - retained) * np.var(replicates, axis=0)


def quarter_samples(groups: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Which groups are kept: float64 ``[draws, groups]`` of 0 and 1, ``groups // 4`` zeros in a row."""
    return (_orders(groups, draws, seed) >= groups // 4).astype(np.float64)


def quarter_sample_variance(replicates, groups: int) -> np.ndarray:
    """The variance from ``replicates [draws, ...]``, in which all halves have about as many groups."""
    if groups < FEWEST:
        return np.full(np.shape(replicates)[1:], np.nan)
    out = groups // 4
    return (groups - out) / out * np.var(replicates, axis=0)


def _orders(groups, draws, seed):
    return np.random.default_rng([seed, groups, draws]).random((draws, groups)).argsort(axis=1)


def interval(value, variance, groups: int, level: float = 0.95):
    """(low, high) about ``value``, Student's t with ``groups - 1`` degrees of freedom; NaN below 4 groups."""
    from scipy.special import stdtrit

    wide = stdtrit(groups - 1, (1 + level) / 2) if groups >= FEWEST else np.nan
    reach = wide * np.sqrt(variance)
    return value - reach, value + reach


def mean_interval(mean: clusters.Mean, level: float = 0.95) -> tuple[float, float]:
    """(low, high) of a mean over documents (``clusters.clustered_mean``); NaN where it has no error."""
    from scipy.special import stdtrit

    reach = float(stdtrit(mean.df, (1 + level) / 2)) * mean.se
    return mean.value - reach, mean.value + reach


def paired_interval(statistic, groups, *columns, level: float = 0.95):
    """(value, low, high) of a smooth ``statistic(*means)`` of columns ``[D]`` over the same documents.

    Variance of the jackknife that leaves out one group at a time, degrees of freedom as of a mean
    (``clusters``); NaN below 4 groups. groups ``[D]``: the name of each document's group.
    """
    means = [clusters.leave_one_out(column, groups) for column in columns]
    value, *without = map(float, statistic(*means))
    count = len(without)
    if count < FEWEST:
        return value, np.nan, np.nan
    error = np.sqrt((count - 1) / count * np.square(np.array(without) - value).sum())
    freedom = clusters.freedom(np.bincount(clusters.places(groups)))
    mean = clusters.Mean(value, float(error), freedom, len(groups), count)
    return value, *map(float, mean_interval(mean, level))


def smooth_interval(statistic, *strata, draws: int = DRAWS, seed: int = 0):
    """(value, low, high) of a smooth ``statistic(*sums)`` over groups of documents, 95 %.

    strata: arrays ``[G, ...]`` of what each group adds, one a half of a domain, or (several such arrays) that
    go together, such as sums and token counts; groups that are all zeros do not count. statistic: of sums
    ``[...]`` in the same places; must take them with an axis of draws in front, too.
    """
    parts = [tuple(map(np.asarray, s)) if isinstance(s, tuple) else (np.asarray(s),) for s in strata]
    parts = [tuple(x[_used(part)] for x in part) for part in parts]
    value = np.asarray(
        statistic(*(_given([x.sum(axis=0, dtype=np.float64) for x in part]) for part in parts))
    )
    groups = [len(part[0]) for part in parts]
    if min(groups) < FEWEST:
        return value, *interval(value, np.nan, 0)
    again = []
    for i, part in enumerate(parts):
        keep = quarter_samples(groups[i], draws, seed + i)
        again.append(_given([np.tensordot(keep, x, axes=1) for x in part]))
    variance = quarter_sample_variance(statistic(*again), min(groups))
    return value, *interval(value, variance, freedom(groups))


def freedom(groups) -> int:
    """Groups that one half would have with as many degrees of freedom as these halves have together."""
    return 1 + sum(number - 1 for number in groups)


def _given(sums):
    return sums[0] if len(sums) == 1 else tuple(sums)


def _used(part) -> np.ndarray:
    return np.any([np.asarray(x).reshape(len(x), -1).any(axis=1) for x in part], axis=0)


def jackknife_interval(values, scale: str = "linear", level: float = 0.95, sizes=None):
    """(low, high) about ``values[..., 0]`` from ``values[..., 1:]``, each with a group of documents left out.

    Jackknife, on a scale where the value scatters about evenly: ``var = (G - 1)/G sum_g (v_g - mean v)^2``,
    Student's t with G - 1 degrees of freedom, or where the groups' ``sizes`` [G] in documents are given, as
    few as those leave (``clusters.freedom``); NaN for G < 4. Where the scale has no place for a value (a
    distance of 0, a cosine of 1) the interval is linear.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    count = values.shape[-1] - 1
    if count < 4:
        return np.full((2, *values.shape[:-1]), np.nan)
    there, back = SCALES[scale]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = there(values)
        fits = np.isfinite(scaled).all(axis=-1)
        spread = [np.sqrt((count - 1) * np.var(v[..., 1:], axis=-1)) for v in (scaled, values)]
        degrees = count - 1 if sizes is None else clusters.freedom(sizes)
        reach = t.ppf((1 + level) / 2, degrees) * np.array(spread)
        ends = [
            np.where(fits, back(scaled[..., 0] + sign * reach[0]), values[..., 0] + sign * reach[1])
            for sign in (-1, 1)
        ]
    return np.stack(ends)
