"""How much of the activations can be zero before the loss grows? The causal measure of sparsity.

Read are losses of single documents of a domain's half b while feed-forward activations are zero in all layers
at once (``thresholds``); thresholds and masks come from half a. ``domain_a`` made them, ``domain_b``
has the documents; ``level`` is the share aimed at, ``realised`` the share that is zero on these documents.

curve
    by level: ``loss``, nats per completion token, mean over documents, and ``ratio`` to the dense network's
critical_sparsity
    ``signal``: the largest realised share at which the mean loss is within ``tolerance`` of dense
    (``sparsity.critical_sparsity``); ``lower_bound`` where it is so at all levels
cross_threshold, cross_mask
    the ratio at a level: ``ceiling`` with the domain's own thresholds or mask, ``signal`` with another
    domain's; of masks also ``floor``, random ones of equal size (domain_a: "random"), and ``sep``, (ceiling
    - signal) / (ceiling - floor): 0, another domain's neurons serve as well as one's own; 1, no better than
    neurons drawn at random
zeros
    by layer and level of the curve: the share of activations that is zero

Intervals are over documents, paired: the same in all conditions. ``revision`` etc. as in every table.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import overlap, sparsity
from implicit_sparsity.options import option

from .base import Probe, where

ALL = -1  # of no single layer
RANDOM = "random"
CONDITIONS = ("curve", "threshold", "mask", RANDOM)


@dataclass
class CriticalSparsity(Probe):
    """Curves, critical points, and thresholds and masks across domains."""

    NEEDS: ClassVar[tuple] = ("thresholds",)
    COLUMNS: ClassVar[tuple] = ("layer", "domain_a", "domain_b", "measure", "level", "realised", "quantity")
    COLUMNS += ("value", "low", "high", "n", "unit", "tolerance")

    tolerance: float = option(0.01, low=1e-6, high=1, help="how much worse than dense the loss may be")

    def variables(self):
        return tuple(f"{name}_{of}" for name in CONDITIONS for of in ("loss", "zeros"))

    def reads(self, need):
        return self.variables(), ()

    def rows(self, datasets):
        rows = []
        for domain, dataset in datasets.items():
            _check(dataset)
            common = {"domain_b": domain, "n": dataset.sizes["document"], "tolerance": self.tolerance}
            result = [*self._curve(dataset, domain), *_zeros(dataset, domain), *_cross(dataset, domain)]
            rows += [common | dict(zip(_KEYS, values, strict=True)) for values in result]
        return [{name: row[name] for name in self.COLUMNS} for row in rows]

    def _curve(self, dataset, domain):
        losses, shares = dataset["curve_loss"].values, dataset["curve_zeros"].values.mean(axis=-1)
        for i, level in enumerate(dataset["level"].values):
            here = ALL, domain, "curve", level, shares[i]
            yield *here, "loss", *_mean(losses[i]), "nats"
            yield *here, "ratio", *_ratio(losses[i], losses[0]), "1"
        bounds = sparsity.critical_sparsity(shares, losses, self.tolerance)
        quantity = "signal" if bounds[0] < shares.max() else "lower_bound"
        yield ALL, domain, "critical_sparsity", np.nan, bounds[0], quantity, *bounds, "1"


_KEYS = ("layer", "domain_a", "measure", "level", "realised", "quantity", "value", "low", "high", "unit")


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


def _cross(dataset, domain):
    dense, names = dataset["curve_loss"].values[0], dataset["calibration"].values.tolist()
    for c, level in enumerate(dataset["cross"].values):
        chance = dataset["random_loss"].values[c].mean(axis=0)
        for measure in ("threshold", "mask"):
            own = dataset[f"{measure}_loss"].values[c, names.index(domain)]
            for name, losses, zeros in zip(
                names, dataset[f"{measure}_loss"].values[c], dataset[f"{measure}_zeros"].values[c]
            ):
                here = ALL, name, f"cross_{measure}", level, zeros.mean()
                yield *here, "ceiling" if name == domain else "signal", *_ratio(losses, dense), "1"
                if measure == "mask" and name != domain:
                    yield *here, "sep", *sparsity.paired_interval(separation, own, losses, chance), "1"
        here = ALL, RANDOM, "cross_mask", level, dataset["random_zeros"].values[c].mean()
        yield *here, "floor", *_ratio(chance, dense), "1"


def _mean(losses):
    return sparsity.paired_interval(lambda mean: mean, losses)


def _ratio(losses, dense):
    """(ratio of the means, low, high)."""
    return sparsity.paired_interval(lambda mean, of: mean / of, losses, dense)
