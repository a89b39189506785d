"""How far did training move what the network represents? By layer, on a fixed set of documents.

Against the base model and against the stage before, at the same positions of the same documents of every
domain: ``relative_l2`` ||X1 - X0|| / ||X0||; ``cosine`` of a position's two states; ``cka``, linear, debiased
over documents; ``cka_positions``, debiased over positions, as it is mostly reported; ``mean_angle`` and
``largest_angle`` between the subspaces of the leading directions; ``drift_energy``
1 - ||P0 X1||^2 / ||X1||^2, P0 the leading directions of the reference, whose own energy outside them is the
row ``floor``, and ``drift_excess``, energy less floor. Intervals are over groups; ``unrelated`` is what
unrelated states would give. ``kl_content``, ``kl_completion``: KL(base || tuned), nats per content or
completion token, per document, then their mean over those that have such a token.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, drift, intervals
from implicit_sparsity.options import option

from .base import Probe, by_group, where


@dataclass
class RepresentationDrift(Probe):
    """Drift of hidden states and of predictions."""

    NEEDS = ("drift",)
    COLUMNS: ClassVar[tuple] = ("reference", "domain", "layer", "measure", "quantity", "value", "low", "high")
    COLUMNS += ("n", "groups", "trusted", "unit")

    level: float = option(0.95, low=0.5, high=0.999, help="share of intervals that cover the truth")

    def rows(self, datasets):
        rows = (row for dataset in datasets.values() for row in self._rows(dataset))
        return [{name: row[name] for name in self.COLUMNS} for row in rows]

    def _rows(self, dataset):
        yield from self._divergences(dataset)
        for measure, (unit, scale) in drift.MEASURES.items():
            for domain in dataset["domain"].values:
                yield from self._moved(dataset.sel(domain=domain), str(domain), measure, unit, scale)

    def _moved(self, dataset, domain, measure, unit, scale):
        """Rows of a measure of hidden states of one domain."""
        sizes, counted = by_group(dataset["group"].values)
        part = dataset.sel(measure=measure)
        values = part["drift"].transpose("reference", "layer", "left_out").values
        values = values[..., : 1 + len(sizes)]
        unrelated = part["unrelated"].transpose("reference", "layer").values
        ends = intervals.jackknife_interval(values, scale, self.level, sizes)
        for place in np.ndindex(unrelated.shape):
            at = zip(("reference", "layer"), place)
            keys = {"domain": domain, "measure": measure, **counted}
            keys |= {name: dataset[name].values[i].item() for name, i in at}
            value = values[place][0]
            yield keys | _row("signal", value, *(end[place] for end in ends), unit)
            yield keys | _row("unrelated", unrelated[place], np.nan, np.nan, unit)
            if measure == "drift_energy":
                excess = dataset["drift"].sel(measure="drift_excess").transpose(*part["drift"].dims)
                floor = value - excess.transpose("reference", "layer", "left_out").values[place][0]
                yield keys | _row("floor", floor, np.nan, np.nan, unit)

    def _divergences(self, dataset):
        for part in ("content", "completion"):
            nats, counts = (
                dataset[name].transpose("domain", "document").values for name in (f"kl_{part}", part)
            )
            groups = dataset["group"].transpose("domain", "document").values
            for domain, *columns, count in zip(dataset["domain"].values, nats, groups, counts):
                known, names = (column[count > 0] for column in columns)
                if not np.isfinite(known).all():
                    raise InputError("the divergence from the base model is not finite", key=where(dataset))
                if not len(known):
                    continue
                values, (sizes, counted) = clusters.leave_one_out(known, names), by_group(names)
                ends = intervals.jackknife_interval(values, "log", self.level, sizes)
                keys = {"reference": "base", "domain": str(domain), "layer": None, "measure": f"kl_{part}"}
                yield keys | _row("signal", values[0], *ends, "nat") | counted


def _row(quantity, value, low, high, unit):
    numbers = {"value": float(value), "low": float(low), "high": float(high)}
    return {"quantity": quantity, **numbers, "unit": unit}
