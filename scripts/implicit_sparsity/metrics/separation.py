"""Domains against each other, one layer at a time: signal, ceiling, floors, SEP, their intervals, the null.

A domain has two disjoint halves of its documents, each in groups (``intervals``). Of two domains the
signal is the mean over the four pairings of their halves, the ceiling the mean of the overlaps between the
halves of each. Labels that mean nothing are made by permuting the groups of both domains between two
pseudo-domains of two halves. Shapes: n scores (neurons or experts), G groups, R draws, C token counts (1,
or one an expert).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np

from . import intervals, overlap


@dataclass
class Half:
    """Scores of one half: ``score [n]``; of its groups ``sums [G, n]`` and ``counts [G, C]``, or None.

    ``owner [n]``: which count a sum is divided by, None where there is only one.
    """

    score: np.ndarray
    sums: np.ndarray | None = None
    counts: np.ndarray | None = None
    owner: np.ndarray | None = None

    def __post_init__(self):
        if self.sums is not None:
            used = self.counts.reshape(len(self.counts), -1).any(axis=1)
            self.sums, self.counts = self.sums[used], self.counts[used].astype(np.float64)

    @property
    def groups(self) -> int:
        return 0 if self.sums is None else len(self.sums)

    def of(self, chosen):
        """The half that these groups (bool [G], True: taken) are alone."""
        sums, counts = self.sums[chosen], self.counts[chosen]
        score = scores(sums.sum(axis=0, dtype=np.float64), counts.sum(axis=0), self.owner)
        return Half(score, sums, counts, self.owner)

    def weighted(self, weights):
        """Scores ``[..., n]`` of groups with these weights ``[..., G]``."""
        return scores(weights.astype(self.sums.dtype) @ self.sums, weights @ self.counts, self.owner)


def scores(sums, counts, owner=None):
    """Means ``[..., n]`` of sums ``[..., n]`` over counts ``[..., C]``; 0 where nothing was counted."""
    counts = counts if owner is None else counts[..., owner]
    return np.divide(sums, counts, out=np.zeros_like(sums, dtype=np.float64), where=counts > 0)


@dataclass
class Measure:
    """One comparison: ``prepare(scores)`` once a vector, ``compare(x, y)`` of two prepared ones -> [...]."""

    name: str
    k: float
    top: int
    compare: Callable
    prepare: Callable = np.asarray
    unit: str = "1"
    sign: int = 1  # -1 where more means less alike
    smooth: bool = True  # or of sets: which interval, see ``intervals``
    floors: dict = field(default_factory=dict)  # name -> value, or a function of two score vectors


def iou(k: float, top: int, n: int, **floors) -> Measure:
    """IoU of the ``top`` of n; NaN where fewer are in use: the set would be filled by index, not by use."""

    def prepare(scores):
        defined = (scores > 0).sum(axis=-1, keepdims=True) >= top
        return overlap.top_k_sets(scores, top) & defined

    def compare(a, b):
        both = (a & b).sum(axis=-1)
        result = both / (2 * top - both)
        return np.where(a.any(axis=-1) & b.any(axis=-1), result, np.nan)

    return Measure(
        "iou",
        k,
        top,
        compare,
        prepare,
        smooth=False,
        floors={"floor": overlap.chance_iou(n, top)} | floors,
    )


class Layer:
    """Two halves of each domain in one layer, and what all measures take from them. ``null``: documents
    permuted, too; without it no pair has ``permuted`` and ``sep_permuted``."""

    def __init__(self, domains: dict, draws: int, seed: int = 0, null: bool = True):
        self.domains, self.draws, self.seed = domains, draws, seed
        self.fewest = {d: min(half.groups for half in halves) for d, halves in domains.items()}
        self.scores = {}  # smooth or not -> domain -> scores of both halves' subsamples
        self.permuted = {
            (a, b): dealt(domains[a] + domains[b], draws, seed)
            for a, b in combinations(domains if null else (), 2)
            if min(self.fewest[a], self.fewest[b]) >= intervals.FEWEST
        }

    def subsampled(self, smooth: bool) -> dict:
        """domain -> scores ``[R, n]`` of subsamples of either half; empty where groups are too few."""
        if smooth not in self.scores:
            draws = self.draws * (2 if smooth else 1)  # which share one draw among all halves
            weights = intervals.quarter_samples if smooth else intervals.half_samples
            self.scores[smooth] = {
                d: [
                    half.weighted(weights(half.groups, draws, self.seed + 2 * number + h))
                    for h, half in enumerate(halves)
                ]
                for number, (d, halves) in enumerate(self.domains.items())
                if self.fewest[d] >= intervals.FEWEST
            }
        return self.scores[smooth]


def compared(layer: Layer, measure: Measure):
    """Yield (domain a, domain b, {quantity: (value, low, high)}); a = b holds a domain's own ceiling.

    Quantities of a pair: signal, ceiling, each floor, the ``sep`` of each, and
    ``permuted`` and ``sep_permuted``: signal and sep where labels mean nothing, mean and the central 95 %.
    """
    whole = {d: [measure.prepare(half.score) for half in halves] for d, halves in layer.domains.items()}
    drawn = layer.subsampled(measure.smooth)
    drawn = {d: [measure.prepare(x) for x in parts] for d, parts in drawn.items()}
    for d in whole:
        yield d, d, _with_intervals(_within, (d,), measure, whole, drawn, layer)
    for a, b in combinations(whole, 2):
        floors = {
            name: _floor(floor, layer.domains[a], layer.domains[b]) for name, floor in measure.floors.items()
        }
        between = partial(_between, floors=floors)
        rows = _with_intervals(between, (a, b), measure, whole, drawn, layer)
        rows |= {name: (f, np.nan, np.nan) for name, f in floors.items()}
        yield a, b, rows | _permuted(layer.permuted.get((a, b)), measure, floors)


def _with_intervals(function, domains, measure, whole, drawn, layer):
    """{quantity: (value, low, high)} of ``function(measure, *halves)``, two halves of each of the domains."""
    halves = [half for d in domains for half in whole[d]]
    value = function(measure, *halves)
    fewest = min(layer.fewest[d] for d in domains)
    if not all(d in drawn for d in domains):
        return {name: (v, np.nan, np.nan) for name, v in value.items()}
    again = [half for d in domains for half in drawn[d]]
    groups = [half.groups for d in domains for half in layer.domains[d]]
    number = intervals.freedom(groups) if measure.smooth else fewest
    if measure.smooth:
        result = function(measure, *again)
        variance = {name: intervals.quarter_sample_variance(result[name], fewest) for name in value}
    else:
        variance = dict.fromkeys(value, 0.0)
        for i, half in enumerate(again):
            result = function(measure, *halves[:i], half, *halves[i + 1 :])
            for name in value:
                variance[name] = variance[name] + intervals.half_sample_variance(result[name], groups[i])
    return {name: (v, *intervals.interval(v, variance[name], number)) for name, v in value.items()}


def _within(measure, first, second):
    return {"ceiling": measure.compare(first, second)}


def _between(measure, a1, a2, b1, b2, floors):
    """signal, ceiling, and a sep for each floor: "floor_hub" gives "sep_hub"."""
    ceiling = (measure.compare(a1, a2) + measure.compare(b1, b2)) / 2
    signal = sum(measure.compare(x, y) for x in (a1, a2) for y in (b1, b2)) / 4
    ceiling, signal = np.broadcast_arrays(ceiling, signal)
    result, sign = {"signal": signal, "ceiling": ceiling}, measure.sign
    for name, floor in floors.items():
        result[name.replace("floor", "sep")] = overlap.separation(sign * ceiling, sign * signal, sign * floor)
    return result


def _floor(floor, a, b):
    return np.mean([floor(x.score, y.score) for x in a for y in b]) if callable(floor) else floor


def _permuted(parts, measure, floors):
    """{permuted, sep_permuted} of four halves in which the groups of two domains were permuted."""
    if parts is None:
        return {}
    result = _between(measure, *(measure.prepare(part) for part in parts), floors=floors)
    rows = {"permuted": result["signal"]} | ({"sep_permuted": result["sep"]} if "sep" in result else {})
    return {name: _central(x) for name, x in rows.items()}


def dealt(halves, draws: int, seed: int = 0) -> list:
    """Scores ``[R, n]`` of halves like those given, each of as many groups, but drawn from all of them."""
    sizes = [half.groups for half in halves]
    rng = np.random.default_rng([seed, *sizes])
    order = rng.random((draws, sum(sizes))).argsort(axis=1)
    place = np.repeat(np.arange(len(sizes)), sizes)[order]  # the new half of each group, [R, G of all]
    sums, counts = (np.concatenate([getattr(half, name) for half in halves]) for name in ("sums", "counts"))
    result = []
    for number in range(len(sizes)):
        mine = (place == number).astype(np.float64)
        result.append(scores(mine.astype(sums.dtype) @ sums, mine @ counts, halves[0].owner))
    return result


def _central(x):
    x = x[np.isfinite(x)]
    return (x.mean(), *np.quantile(x, [0.025, 0.975])) if len(x) else (np.nan,) * 3
