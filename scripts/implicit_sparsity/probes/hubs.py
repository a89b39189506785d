"""Hubs: neurons that are in the top k of every domain, by layer.

Per layer and size k of the sets of D domains: ``signal``, the share of the k that are hubs, mean over the
two halves; ``floor``, (k / n)^(D - 1), where each of n neurons is chosen independently in each domain;
``ceiling``, the same share where labels mean nothing, documents permuted among D pseudo-domains (mean and
central 95 %); ``count``, hubs; ``use_share``, the share of all activity (mean |h|, domains weighed equally)
that hubs carry, beside ``neuron_share``, their share of the neurons. Intervals are over groups of documents
(``metrics.intervals``).
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from implicit_sparsity.metrics import intervals, overlap, separation
from implicit_sparsity.options import option

from .base import ActivityProbe, check_comparable, counted, halves_of, per_token


@dataclass
class Hubs(ActivityProbe):
    """Neurons that every domain uses most."""

    k: tuple[float, ...] = option(
        (0.01, 0.1), size="neurons", help="sizes of the sets: shares (< 1) or counts of a layer's neurons"
    )
    tolerance: float = option(
        0.01, low=0, high=1, help="largest relative difference in tokens between halves"
    )
    draws: int = option(48, low=8, high=4096, help="subsamples of documents behind an interval")

    def rows(self, datasets):
        tokens = check_comparable(datasets, self.tolerance)
        scores = {domain: per_token(dataset, dataset["sum_abs"]) for domain, dataset in datasets.items()}
        layers = next(iter(datasets.values()))["layer"].values
        neurons = next(iter(scores.values())).shape[-1]
        common = {"domains": len(datasets), "neurons": neurons, "tokens": tokens}
        common |= counted(*datasets.values())
        rows = []
        for i, layer in enumerate(layers):
            halves = [halves_of(dataset, scores[domain], i) for domain, dataset in datasets.items()]
            for k in self.k:
                top = overlap.size_of(k, neurons)
                for quantity, (value, low, high) in self._measured(halves, top, neurons).items():
                    numbers = {"value": float(value), "low": float(low), "high": float(high)}
                    unit = "neurons" if quantity == "count" else "1"
                    row = {"layer": int(layer), "k": k, "top": top, "quantity": quantity, **numbers}
                    rows.append(row | {"unit": unit} | common)
        return rows

    def _measured(self, halves, top, neurons):
        """{quantity: (value, low, high)} of one layer; ``halves``: two of every domain."""
        use = np.mean(
            [half.score / max(half.score.sum(), 1e-300) for pair in halves for half in pair], axis=0
        )
        sets = [[overlap.top_k_sets(half.score, top) for half in pair] for pair in halves]
        hubs = [reduce(np.logical_and, [pair[h] for pair in sets]) for h in (0, 1)]
        value = np.mean([_numbers(hub, use) for hub in hubs], axis=0)
        variance, fewest = 0.0, min(half.groups for pair in halves for half in pair)
        if fewest >= intervals.FEWEST:
            for d, pair in enumerate(halves):
                for h, half in enumerate(pair):
                    drawn = half.weighted(intervals.half_samples(half.groups, self.draws))
                    others = [other[h] for e, other in enumerate(sets) if e != d]
                    again = reduce(np.logical_and, others, overlap.top_k_sets(drawn, top))
                    numbers = (_numbers(again, use) + _numbers(hubs[1 - h], use)) / 2
                    variance = variance + intervals.half_sample_variance(numbers, half.groups)
        low, high = intervals.interval(value, variance, fewest)
        result = {name: (value[i], low[i], high[i]) for i, name in enumerate(("count", "use_share"))}
        result["neuron_share"] = tuple(x / neurons for x in result["count"])
        result["signal"] = tuple(x / top for x in result["count"])
        result["floor"] = ((top / neurons) ** (len(halves) - 1), np.nan, np.nan)
        if fewest >= intervals.FEWEST:
            result["ceiling"] = self._dealt(halves, top)
        return result

    def _dealt(self, halves, top):
        """Share of hubs, in half a, among domains whose documents were permuted: (mean, 2.5 %, 97.5 %)."""
        first = [pair[0] for pair in halves]
        parts = separation.dealt(first, self.draws)
        hubs = reduce(np.logical_and, [overlap.top_k_sets(part, top) for part in parts])
        share = hubs.sum(axis=-1) / top
        return share.mean(), *np.quantile(share, [0.025, 0.975])


def _numbers(hubs, use):
    """[..., (count, share of use)] of the hubs ``[..., n]``."""
    return np.stack([hubs.sum(axis=-1), (hubs * use).sum(axis=-1)], axis=-1)
