"""Do the neurons that one domain uses most overlap with another's? Floors, signal, ceiling and SEP per layer.

For every top-k size: ``floor`` is exact chance, ``floor_hub`` what sharing the hubs alone would give (sets
drawn in proportion to pooled use), ceiling the overlap of two disjoint halves of one domain (of a pair: the
mean of the two), signal the mean over the four pairings of a half of one domain with a half of the other,
so that all compare equally many tokens. SEP = (ceiling - signal) / (ceiling - floor). ``permuted`` and
``sep_permuted`` are signal and SEP where labels mean nothing: documents permuted between the domains.
Threshold-free beside it: Spearman's rank correlation (floor 0), weighted Jaccard (floor: neurons of one
renamed at random) and Jensen-Shannon divergence (no floor). Intervals are over groups of
documents, see ``intervals``. The column ``control``: "" as trained, "bare" without template, "matched" on
equally many tokens of each id.

Rows with ``source_a`` and ``source_b`` compare sources of one domain or of two (``source_pairs``) by IoU and
weighted Jaccard, at the tokens of the smaller, without the null: they are many, and no claim is judged by
them. None under "matched": tokens are matched between domains, not between sources.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import hub_floor, inference, overlap, separation
from implicit_sparsity.metrics.source_pairs import named, pairs
from implicit_sparsity.options import option

from .base import COUNTED, Probe, by_control, by_kind, check_comparable, counted, halves_of, per_token, where

OF_SOURCES = ("iou", "weighted_jaccard")  # measures of pairs of sources, which are many


@dataclass
class ActivationOverlap(Probe):
    """Overlap of the most used neurons, by one score per neuron."""

    NEEDS = ("activations", "controls")

    k: tuple[float, ...] = option(
        (0.001, 0.01, 0.05, 0.1),
        size="neurons",
        help="top-k sizes: shares (< 1) or counts of a layer's neurons",
    )
    score: str = option(
        "mean_abs",
        choices=("mean_abs", "contribution", "top_count"),
        help="what makes a neuron used: mean |h|, ...; top_count has no intervals",
    )
    token_k: float = option(
        0.01,
        size="neurons",
        of="probes.activations.top_k",
        when=("score", "top_count"),
        help="which of the store's per-token top_k the score top_count counts",
    )
    tolerance: float = option(
        0.01, low=0, high=1, help="largest relative difference in tokens between halves"
    )
    draws: int = option(48, low=8, high=4096, help="subsamples of documents behind an interval")

    def variables(self):
        return tuple(dict.fromkeys(("tokens", "sum_abs", self._variable())))

    def optional(self):
        groups = ("group_documents", "group_sum_abs", "group_routed_tokens")
        return ("routed_tokens", *COUNTED, *(groups if self.score != "top_count" else ()))

    def rows(self, datasets, controls):
        result = [{"control": "", **row} for row in self._rows(datasets)] if datasets else []
        for control, stores in by_control(controls).items():
            rows = self._rows(stores, sources=control != "matched")
            result += [{"control": control, **row} for row in rows]
        return result

    def _variable(self):
        return {"mean_abs": "sum_abs"}.get(self.score, self.score)

    def _rows(self, datasets, sources=True):
        tokens = check_comparable(datasets, self.tolerance)
        scores = {domain: self._scores(dataset) for domain, dataset in datasets.items()}
        layers = next(iter(datasets.values()))["layer"].values
        neurons = next(iter(scores.values())).shape[-1]
        shape = {"score": self.score, "neurons": neurons}
        of_sources = pairs(datasets) if sources else []
        rows = []
        for i, layer in enumerate(layers):
            halves = {d: self._halves(dataset, scores[d], i) for d, dataset in datasets.items()}
            pooled = np.mean([_share(score[:, i].mean(axis=0)) for score in scores.values()], axis=0)
            measures = list(self._measures(neurons, pooled))
            for a, b, row in self._compared(halves, measures):
                at = {"layer": int(layer), **named(a, b)}
                numbers = {"tokens": tokens} | counted(*(datasets[domain] for domain in {a, b}))
                rows.append(at | row | numbers | shape)
            measures = [measure for measure in measures if measure.name in OF_SOURCES]
            for pair in of_sources:
                at = {"layer": int(layer), **named(pair.a, pair.b)}
                for a, b, row in self._compared(pair.halves(halves), measures, null=False):
                    rows += [at | row | pair.numbers | shape] if a != b else []
        return by_kind(rows, "layer")

    def _compared(self, halves, measures, null: bool = True):
        """Yield (a, b, columns of a row) of one layer's halves; ``null``: with documents permuted."""
        layer = separation.Layer(halves, self.draws, null=null)
        for measure in measures:
            keys = {"measure": measure.name, "k": measure.k, "top": measure.top}
            for a, b, parts in separation.compared(layer, measure):
                for row in long(parts, measure.unit):
                    yield a, b, keys | row

    def _scores(self, dataset):
        """Per-token score ``[half, layer, neuron]``."""
        variable = dataset[self._variable()]
        if self.score == "top_count":
            sizes = dataset["top_k"].values
            variable = variable.isel(top_k=int(np.abs(sizes - self.token_k).argmin()))
            if not np.isclose(variable["top_k"], self.token_k):
                raise InputError(
                    f"{where(dataset)}: {self.token_k} is not among the store's {sizes.tolist()}",
                    key="token_k",
                )
        return per_token(dataset, variable)

    def _halves(self, dataset, scores, i):
        """The two ``separation.Half`` of one layer."""
        if self.score != "contribution" or "group_sum_abs" not in dataset:
            return halves_of(dataset, scores, i)
        # times the norm of the neuron's down column
        total = (dataset[name].isel(layer=i).sum("half").values for name in ("contribution", "sum_abs"))
        norm, use = (np.asarray(x, dtype=np.float64) for x in total)
        return halves_of(dataset, scores, i, np.divide(norm, use, out=np.zeros_like(norm), where=use > 0))

    def _measures(self, neurons, pooled):
        """Everything compared in one layer."""
        for k in self.k:
            top = overlap.size_of(k, neurons)
            yield separation.iou(k, top, neurons, floor_hub=hub_floor.hub_matched_iou(pooled, top))
        measure = partial(separation.Measure, k=np.nan, top=neurons)
        yield measure(
            "spearman", prepare=inference.ranks, compare=inference.correlation, floors={"floor": 0.0}
        )
        floors = {"floor": overlap.chance_weighted_jaccard}
        yield measure("weighted_jaccard", compare=overlap.weighted_jaccard, floors=floors)
        yield measure("jensen_shannon_bits", compare=overlap.jensen_shannon_bits, unit="bits", sign=-1)


def _share(use):
    return use / max(use.sum(), 1e-300)


def long(parts, unit):
    """Rows of {quantity: (value, low, high)}."""
    return [
        {"quantity": quantity, "value": float(value), "low": float(low), "high": float(high), "unit": unit}
        for quantity, (value, low, high) in parts.items()
    ]
