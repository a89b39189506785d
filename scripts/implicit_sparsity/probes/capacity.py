"""How fast do domains use up the input dimensions of feed-forward layers, and after how many is none left?

For each order, after its first t domains (``input_spectra``; base model): ``used`` dimensions, the
fewest that hold ``energy`` of the domains' inputs together; ``free``, width - used; ``growth`` since the
domain before. Layer -1: mean over the sampled layers. ``signal``: of a new domain; ``floor`` of growth:
where not a new domain is added but the other half of the documents of the one before.
``domains_until_full``, of a whole order: the number of domains at which used reaches the width by a line
(``linear``) or by a curve that levels off (``saturating``); inf: not reached. A line is the pessimist's
reading, and both go far beyond what was measured.

Sampling counts: from n tokens no more than n dimensions can be seen, so ``used`` is a lower bound where it
comes near the number of tokens (column ``tokens``: of the half domain; ceiling: t times that, or the
width). Intervals leave out one part of whole groups of documents of all domains at a time
(jackknife); ``groups`` is their number.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import capacity, clusters, intervals
from implicit_sparsity.options import option

from .base import Probe, where


@dataclass
class Capacity(Probe):
    """Dimensions used, left and added, domain by domain."""

    NEEDS: ClassVar[tuple] = ("input_spectra",)
    COLUMNS: ClassVar[tuple] = (
        "layer",
        "place",
        "order",
        "after",
        "domain",
        "energy",
        "measure",
        "quantity",
        "value",
    )
    COLUMNS += ("low", "high", "n", "groups", "trusted", "unit", "width", "tokens")

    scale: str = option(
        "linear", choices=("linear", "log"), help="on which intervals of dimensions are symmetric"
    )

    def rows(self, here):
        if not here:
            return []
        store = here[""]
        used, null = (
            store[name].transpose("prefix", "place", "layer", "energy", "left_out").values
            for name in ("used", "null")
        )
        if np.isinf(used).any():
            raise InputError("dimensions are not finite", key=where(store))
        rows = []
        for p, place in enumerate(store["place"].values):
            width = int(store["width"].values[p])
            if not width:
                continue
            common = {"place": str(place), "width": width, "tokens": int(store.attrs["options"]["tokens"])}
            groups = used.shape[-1] - 1
            common |= {"n": int(store.attrs["documents"]), "groups": groups}
            common["trusted"] = clusters.trusted(groups)
            for row in self._place(store, used[:, p], null[:, p], width):
                rows.append(common | row)
        return rows

    def _place(self, store, used, null, width):
        """used, null [prefix, layer, energy, replicate]"""
        used, null = (np.concatenate([x, x.mean(axis=1, keepdims=True)], axis=1) for x in (used, null))
        layers = [*store["layer"].values.tolist(), -1]
        order, after = store["order"].values, store["after"].values
        for i, layer in enumerate(layers):
            for e, energy in enumerate(store["energy"].values):
                keys = {"layer": layer, "energy": float(energy)}
                for name in dict.fromkeys(order.tolist()):
                    here = np.flatnonzero(order == name)
                    here = here[after[here].argsort()]
                    domains = store["domain"].values[here]
                    line, other = used[here, i, e], null[here, i, e]
                    for row in self._order(line, other, domains, width, whole=layer != -1):
                        yield keys | {"order": str(name)} | row

    def _order(self, line, null, domains, width, whole):
        """Rows of one order: ``line, null [t, R]``."""
        for t, domain in enumerate(domains):
            common = {"after": t + 1, "domain": str(domain), "unit": "dimensions"}
            yield common | {"measure": "used", "quantity": "signal"} | self._interval(line[t], whole)
            yield (
                common
                | {"measure": "free", "quantity": "signal"}
                | self._interval(width - line[t], whole, np.floor)
            )
            before = line[t - 1] if t else np.zeros_like(line[t])
            yield common | {"measure": "growth", "quantity": "signal"} | self._interval(line[t] - before)
            if t:
                yield common | {"measure": "growth", "quantity": "floor"} | self._interval(null[t] - before)
        for fit, value in capacity.until_full(line, width).items():
            common = {"after": len(domains), "domain": "", "unit": "domains"}
            yield common | {"measure": "domains_until_full", "quantity": fit} | _inverse(value)

    def _interval(self, values, whole=False, rounded=np.ceil):
        """Dimensions are whole numbers in one layer; the interval keeps what was read off between two."""
        low, high = intervals.jackknife_interval(values, self.scale if (values > 0).all() else "linear")
        value = rounded(values[0]) if whole else values[0]
        return {"value": float(value), "low": float(low), "high": float(high)}


def _inverse(count):
    """Value and interval of a number of domains ``[R]`` by way of 1 / number, which is 0 where it is not
    reached.
    """
    rate = np.where(np.isinf(count), 0.0, 1 / np.where(np.isinf(count), 1.0, count))
    low, high = intervals.jackknife_interval(rate)
    ends = [float("inf") if end <= 0 else float(1 / end) for end in (high, low)]
    ends = [np.nan if np.isnan(low) else end for end in ends]
    return {"value": float(count[0]), "low": ends[0], "high": ends[1]}
