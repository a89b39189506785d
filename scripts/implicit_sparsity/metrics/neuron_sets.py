"""Hubs, idle neurons and each domain's own: sets of a layer's neurons, and what share of something lies in
them.

Of D domains' scores: ``top`` of a domain are the k neurons that it uses most (of those in use at all),
``hubs`` those in the top of every domain, ``idle`` those in none. A share's interval is over the groups of
documents that define the sets (half-sampling, see ``intervals``), or where a store has no groups, over
layers. Shapes: N neurons, Q quantities that a neuron has, R draws.
"""

from dataclasses import dataclass

import numpy as np

from . import intervals
from .overlap import top_k_sets


@dataclass
class Sums:
    """Of one layer, or several: ``total [Q]``, and by set ``(name, domain)`` what lies in it ``[Q]``.

    ``drawn``: the same by domain, with half of that domain's groups of documents, ``[R, Q]``; empty without
    groups.
    """

    total: np.ndarray
    inside: dict
    drawn: dict
    groups: dict

    def __add__(self, other):
        inside = {key: value + other.inside[key] for key, value in self.inside.items()}
        drawn = {
            d: {key: value + other.drawn[d][key] for key, value in sets.items()}
            for d, sets in self.drawn.items()
        }
        return Sums(self.total + other.total, inside, drawn, self.groups)

    def interval(self, share, key) -> tuple:
        """(value, low, high) of ``share(inside [..., Q], total [Q]) -> [...]``; NaN bounds without groups."""
        value = share(self.inside[key], self.total)
        if not self.drawn:
            return value, np.nan, np.nan
        parts = [
            intervals.half_sample_variance(share(sets[key], self.total), self.groups[domain])
            for domain, sets in self.drawn.items()
        ]
        return value, *intervals.interval(value, sum(parts), min(self.groups.values()))


def members(scores: dict, k: int) -> dict:
    """{(set, domain): bool [..., N]} of domain -> scores [..., N]; hubs and idle have domain ""."""
    top = {domain: top_k_sets(score, k) & (np.asarray(score) > 0) for domain, score in scores.items()}
    first, *rest = top.values()
    every, some = first, first
    for other in rest:
        every, some = every & other, some | other
    return {("hubs", ""): every, ("idle", ""): ~some} | {
        ("top", domain): mask for domain, mask in top.items()
    }


def sums(halves: dict, k: int, quantities, draws: int) -> Sums:
    """Sums of one layer; halves: domain -> ``separation.Half``; quantities [N, Q]."""
    point = {domain: half.score for domain, half in halves.items()}
    groups = {domain: half.groups for domain, half in halves.items()}
    inside = {key: mask @ quantities for key, mask in members(point, k).items()}
    drawn = {}
    if min(groups.values()) >= intervals.FEWEST:
        for seed, (domain, half) in enumerate(halves.items()):
            retained = half.weighted(intervals.half_samples(half.groups, draws, seed))
            sets = members(point | {domain: retained}, k)
            drawn[domain] = {
                key: np.broadcast_to(mask, retained.shape).astype(np.float32) @ quantities
                for key, mask in sets.items()
            }
    return Sums(quantities.sum(axis=0), inside, drawn, groups)


def over_layers(layers: list, share, key) -> tuple:
    """(value, low, high) of the pooled share, its interval a jackknife over layers."""
    inside, total = np.sum([x.inside[key] for x in layers], axis=0), np.sum([x.total for x in layers], axis=0)
    value, n = share(inside, total), len(layers)
    left = np.array([share(inside - x.inside[key], total - x.total) for x in layers])
    return value, *intervals.interval(value, (n - 1) * left.var(), n)


def renamed(inside_count, energy) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) of the energy in a set of so many neurons drawn at random, exact; energy [..., N]."""
    n = energy.shape[-1]
    share = inside_count / n
    spread = (energy**2).sum(axis=-1) - energy.sum(axis=-1) ** 2 / n
    return share * energy.sum(axis=-1), share * (1 - share) * n / max(n - 1, 1) * spread
