"""Do the neurons that one domain uses most overlap with another's? Floor, signal, ceiling and SEP per layer.

For every top-k size: floor is exact chance, ceiling the overlap of two disjoint halves of one domain (of a
pair: the mean of the two), signal the mean over the four pairings of a half of one domain with a half of
the other, so that all three compare equally many tokens. SEP = (ceiling - signal) / (ceiling - floor). The
threshold-free measures have no closed-form floor, and therefore no SEP here.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from implicit_sparsity import overlap
from implicit_sparsity.probes.base import Probe, check_comparable, option, per_token


@dataclass
class ActivationOverlap(Probe):
    """Overlap of the most used neurons, by one score per neuron."""

    k: tuple = option(
        (0.001, 0.01, 0.05, 0.1), low=0, help="top-k sizes: shares (< 1) or counts of a layer's neurons"
    )
    score: str = option(
        "mean_abs",
        choices=("mean_abs", "contribution", "top_count"),
        help="what makes a neuron used: mean |h|, ...",
    )
    token_k: float = option(
        0.01, low=0, help="which of the store's per-token top_k the score top_count counts"
    )
    tolerance: float = option(
        0.01, low=0, high=1, help="largest relative difference in tokens between halves"
    )

    def variables(self):
        return ("tokens", {"mean_abs": "sum_abs"}.get(self.score, self.score))

    def rows(self, datasets):
        tokens = check_comparable(datasets, self.tolerance)
        scores = {domain: self._scores(dataset) for domain, dataset in datasets.items()}
        layers = next(iter(datasets.values()))["layer"].values
        neurons = next(iter(scores.values())).shape[-1]
        rows = []
        for measure, k, top, floor, compare in self._measures(neurons):
            within = {domain: compare(score[0], score[1]) for domain, score in scores.items()}
            for domain, value in within.items():
                rows += self._long(layers, domain, domain, measure, k, top, {"ceiling": value})
            for a, b in combinations(scores, 2):
                ceiling = (within[a] + within[b]) / 2
                signal = np.mean([compare(x, y) for x in scores[a] for y in scores[b]], axis=0)
                parts = {"signal": signal, "ceiling": ceiling}
                if floor is not None:
                    sep = overlap.separation(ceiling, signal, floor)
                    parts |= {"floor": np.full(len(layers), floor), "sep": sep}
                rows += self._long(layers, a, b, measure, k, top, parts)
        return [row | {"score": self.score, "neurons": neurons, "tokens": tokens} for row in rows]

    def _scores(self, dataset):
        """Per-token score ``[half, layer, neuron]``."""
        variable = dataset[self.variables()[1]]
        if self.score == "top_count":
            sizes = dataset["top_k"].values
            variable = variable.isel(top_k=int(np.abs(sizes - self.token_k).argmin()))
            if not np.isclose(variable["top_k"], self.token_k):
                from implicit_sparsity.errors import InputError

                raise InputError(f"{self.token_k} is not among the store's {sizes.tolist()}", key="token_k")
        return per_token(dataset, variable)

    def _measures(self, neurons):
        """(measure, k, set size, floor, function of two [layer, neuron]) of everything compared."""
        for k in self.k:
            top = overlap.size_of(k, neurons)
            yield "iou", k, top, overlap.chance_iou(neurons, top), _iou(top)
        yield "weighted_jaccard", np.nan, neurons, None, overlap.weighted_jaccard
        yield "jensen_shannon_bits", np.nan, neurons, None, overlap.jensen_shannon_bits

    @staticmethod
    def _long(layers, a, b, measure, k, top, parts):
        keys = {"domain_a": a, "domain_b": b, "measure": measure, "k": k, "top": top}
        return [
            {"layer": int(layer), **keys, "quantity": quantity, "value": float(value)}
            for quantity, values in parts.items()
            for layer, value in zip(layers, values)
        ]


def _iou(top):
    def compare(a, b):
        """NaN where fewer than ``top`` neurons are in use: the set would be filled by index, not by use."""
        defined = (np.minimum((a > 0).sum(axis=-1), (b > 0).sum(axis=-1))) >= top
        return np.where(defined, overlap.top_k_iou(a, b, top), np.nan)

    return compare
