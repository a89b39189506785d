"""Does a method keep its promise? What each stage's update does to outputs on old inputs, by kind of weight.

Of the measurement ``functional_change``, at the network before the stage, by ``inputs``: ``held_out`` (old
domains' probe documents), ``made`` (old domains' select documents, from which a method reads what it
protects) and ``new`` (the new domain's probe documents: there the stage is to write):

    change   ||dW x|| / ||W x||, root of summed squares over tokens: 0 where outputs stay as they were
    energy   ||P x||^2 / ||x||^2, the share of the inputs' energy that the method protects from it; empty
             where it promises nothing of inputs
    output_energy   of the outputs W x instead, where the promise is on rows (gate and up of activation_mask)

Layer -1: all layers of a kind together, kind ``all``: all weights. Old domains are pooled, and by themselves
in rows of their ``domain``. Intervals leave out one group of documents at a time (jackknife); ``groups`` are
those of the domain that has fewest.
"""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, intervals
from implicit_sparsity.options import option

from .base import Probe, where

MEASURES = {"change": ("change", "output"), "energy": ("protected_input", "input")}
MEASURES["output_energy"] = ("protected_output", "output")
INPUTS = {"held_out": "held_out", "made": "select", "new": "held_out"}  # inputs: split


@dataclass
class Protection(Probe):
    """Functional change and energy held, of old domains and of the new one."""

    NEEDS: ClassVar[tuple] = ("functional_change",)
    COLUMNS: ClassVar[tuple] = ("layer", "kind", "domain", "inputs", "measure", "value", "low", "high")
    COLUMNS += ("n", "groups", "trusted", "unit", "weights")

    level: float = option(0.95, low=0.5, high=0.999, help="share of intervals that cover the truth")

    def rows(self, here):
        return [row for dataset in here.values() for row in self._rows(dataset)]

    def _rows(self, dataset):
        sums = dataset["sums"].transpose("domain", "split", "document", "weight", "quantity").values
        group = dataset["group"].transpose("domain", "split", "document").values
        there = group >= 0
        if not np.isfinite(sums[there]).all():
            raise InputError("a sum of squares is not finite", key=where(dataset))
        place = {name: i for i, name in enumerate(dataset["domain"].values.tolist())}
        splits, quantities = dataset["split"].values.tolist(), dataset["quantity"].values
        for inputs, split in INPUTS.items():
            chosen = [dataset.attrs["new"]] if inputs == "new" else dataset.attrs["old"]
            alone = {domain: [domain] for domain in chosen if len(chosen) > 1}
            for name, members in ({"": chosen} | alone).items():
                at = [(place[domain], splits.index(split)) for domain in members]
                part = np.concatenate([sums[here][there[here]] for here in at])
                owner = [(i, int(g)) for i, here in enumerate(at) for g in group[here][there[here]]]
                for (layer, kind), which in sets_of(dataset).items():
                    if name and layer != -1:  # of single domains all layers together
                        continue
                    keys = {"layer": layer, "kind": kind, "domain": name, "inputs": inputs}
                    each = dict(zip(quantities, np.moveaxis(part[:, which], -1, 0), strict=True))
                    for row in self._measures(each, owner):
                        yield keys | row

    def _measures(self, each: dict, owner: list):
        """Rows of sums [document, weight] by quantity, over the weights of one kind; of energy, over those of
        which something is promised. ``owner``: of each document its domain's place and its group."""
        groups = min(Counter(place for place, _ in set(owner)).values())
        for measure, (above, below) in MEASURES.items():
            on = each[above].any(axis=0) | (measure == "change")
            if not on.any():
                continue
            sums = (each[name][:, on].sum(axis=1) for name in (above, below))
            with np.errstate(invalid="ignore", divide="ignore"):
                value, low, high = intervals.paired_interval(np.divide, owner, *sums, level=self.level)
            if measure == "change":
                value, low, high = (float(np.sqrt(max(x, 0.0))) for x in (value, low, high))
            numbers = {"measure": measure, "value": value, "low": low, "high": high, "unit": "1"}
            numbers |= {"n": len(owner), "groups": groups, "trusted": clusters.trusted(groups)}
            yield numbers | {"weights": int(on.sum())}


def sets_of(dataset) -> dict:
    """(layer, kind) -> which weights, bool [weight]; layer -1: of all layers, kind "all": every weight."""
    kinds, layers = dataset["kind"].values, dataset["layer"].values
    result = {(-1, "all"): np.ones(len(kinds), bool)}
    for kind in dict.fromkeys(kinds.tolist()):
        result[-1, kind] = kinds == kind
    for layer, kind in dict.fromkeys(zip(layers.tolist(), kinds.tolist())):
        result[layer, kind] = (layers == layer) & (kinds == kind)
    return result
