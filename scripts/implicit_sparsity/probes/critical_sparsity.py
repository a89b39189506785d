"""How much of the activations can be zero before the loss grows? The causal measure of sparsity.

Read are losses of single documents of a domain's half b while feed-forward activations are zero in all layers
at once (``thresholds``); thresholds and masks come from half a. ``domain_a`` made them, ``domain_b``
has the documents; ``level`` is the share aimed at, ``realised`` the share that is zero on these documents.

curve
    by level: ``loss``, nats per token, mean over documents, and ``ratio`` to the dense network's;
    ``numerical``: how far the ratio by the other attention kernel lies from it
critical_sparsity
    ``signal``: the largest realised share up to which the mean loss is within ``tolerance`` of dense
    (``sparsity.critical_sparsity``); ``lower_bound`` where it is so at all levels; ``numerical``: how far
    rounding alone moves it (``sparsity.numerical_floor``)
cross_threshold, cross_mask
    the ratio at a level: ``ceiling`` with the domain's own thresholds or mask, ``signal`` with another
    domain's; of masks also ``floor``, random ones of equal size (domain_a: "random"), and ``sep``, (ceiling
    - signal) / (ceiling - floor): 0, another domain's neurons serve as well as one's own; 1, no better than
    neurons drawn at random
zeros
    by layer and level of the curve: the share of activations that is zero

``tokens`` says over which a loss is: content | completion | all (prompt and completion, as plain text).
Intervals are over groups of documents, paired by document: the same in all conditions. ``revision`` etc. as
in every table.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, intervals, overlap, sparsity
from implicit_sparsity.options import option

from .base import Probe, where

ALL = -1  # of no single layer
RANDOM = "random"
REQUIRED, OPTIONAL = ("curve", "mask", RANDOM), ("again", "threshold")


@dataclass
class CriticalSparsity(Probe):
    """Curves, critical points, and thresholds and masks across domains."""

    NEEDS: ClassVar[tuple] = ("thresholds",)
    COLUMNS: ClassVar[tuple] = ("layer", "domain_a", "domain_b", "tokens", "measure", "level", "realised")
    COLUMNS += ("quantity", "value", "low", "high", "n", "groups", "trusted", "unit", "tolerance")

    tolerance: float = option(0.01, above=0, high=1, help="how much worse than dense the loss may be")

    def reads(self, need):
        return tuple(_variables(REQUIRED)), tuple(_variables(OPTIONAL))

    def rows(self, datasets):
        rows = []
        for domain, dataset in datasets.items():
            _check(dataset)
            groups = dataset["group"].values
            counted = len(np.unique(groups))
            common = {"domain_b": domain, "n": len(groups), "groups": counted}
            common |= {"trusted": clusters.trusted(counted), "tolerance": self.tolerance, "tokens": ""}
            result = [dict(zip(_KEYS, row, strict=True)) for row in _zeros(dataset, domain)]
            for tokens in dataset["tokens"].values.tolist():
                losses = _Losses(dataset.sel(tokens=tokens), domain, groups)
                some = [*self._curve(losses), *losses.cross()]
                result += [dict(zip(_KEYS, row, strict=True)) | {"tokens": tokens} for row in some]
            rows += [common | row for row in result]
        return [{name: row[name] for name in self.COLUMNS} for row in rows]

    def _curve(self, losses):
        shares = losses.zeros("curve")
        curve, again = losses.of("curve"), losses.of("again")
        for i, level in enumerate(losses.dataset["level"].values):
            here = ALL, losses.domain, "curve", level, shares[i]
            yield *here, "loss", *losses.mean(curve[i]), "nats"
            yield *here, "ratio", *losses.ratio(curve[i], curve[0]), "1"
            if again is not None:
                apart = abs(again[i].mean() / again[0].mean() - curve[i].mean() / curve[0].mean())
                yield *here, "numerical", apart, np.nan, np.nan, "1"
        bounds = sparsity.critical_sparsity(shares, curve, losses.groups, self.tolerance)
        here = ALL, losses.domain, "critical_sparsity", np.nan, bounds[0]
        yield *here, "signal" if bounds[0] < shares.max() else "lower_bound", *bounds, "1"
        if again is not None:
            moved = sparsity.numerical_floor(shares, curve, again, self.tolerance)
            yield *here, "numerical", moved, np.nan, np.nan, "1"


_KEYS = ("layer", "domain_a", "measure", "level", "realised", "quantity", "value", "low", "high", "unit")


def _variables(names):
    return (f"{name}_{of}" for name in names for of in ("loss", "zeros"))


def _check(dataset):
    for name in dataset.data_vars:
        if not np.isfinite(dataset[name].values).all():
            raise InputError(f"{name} is not finite", key=where(dataset))


def _zeros(dataset, domain):
    """The realised share of each layer."""
    for i, level in enumerate(dataset["level"].values):
        for layer, share in zip(dataset["layer"].values, dataset["curve_zeros"].values[i]):
            yield int(layer), domain, "zeros", level, share, "signal", share, np.nan, np.nan, "1"


def separation(own, other, chance):
    """SEP of mean losses: less is better."""
    return overlap.separation(-own, -other, -chance)


class _Losses:
    """Losses of a domain's documents over one choice of tokens."""

    def __init__(self, dataset, domain, groups):
        self.dataset, self.domain, self.groups = dataset, domain, groups

    def of(self, measure):
        """[.., document], None where it was not measured."""
        name = f"{measure}_loss"
        return self.dataset[name].values if name in self.dataset else None

    def zeros(self, measure):
        """Share of zeros, mean over layers."""
        return self.dataset[f"{measure}_zeros"].values.mean(axis=-1)

    def mean(self, losses):
        return intervals.paired_interval(lambda mean: mean, self.groups, losses)

    def ratio(self, losses, dense):
        """(ratio of the means, low, high)."""
        return intervals.paired_interval(lambda mean, of: mean / of, self.groups, losses, dense)

    def cross(self):
        """Rows of thresholds and masks of every domain on this one's documents."""
        dense, names = self.of("curve")[0], self.dataset["calibration"].values.tolist()
        measured = [measure for measure in ("threshold", "mask") if self.of(measure) is not None]
        for c, level in enumerate(self.dataset["cross"].values):
            chance = self.of(RANDOM)[c].mean(axis=0)
            for measure in measured:
                own = self.of(measure)[c, names.index(self.domain)]
                for name, losses, zeros in zip(names, self.of(measure)[c], self.zeros(measure)[c]):
                    here = ALL, name, f"cross_{measure}", level, zeros
                    quantity = "ceiling" if name == self.domain else "signal"
                    yield *here, quantity, *self.ratio(losses, dense), "1"
                    if measure == "mask" and name != self.domain:
                        three = intervals.paired_interval(separation, self.groups, own, losses, chance)
                        yield *here, "sep", *three, "1"
            here = ALL, RANDOM, "cross_mask", level, self.zeros(RANDOM)[c].mean()
            yield *here, "floor", *self.ratio(chance, dense), "1"
