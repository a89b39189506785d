"""Do tokens go to other experts because states drifted, or because the router did? Of a mixture, by layer.

States and routers of the reference (the base model, the stage before) and of the trained network are combined
at the same positions. ``changed``, the share of a token's experts that are others:

``both``                                    the new network against the old one
``states_old_router, states_new_router``    new states instead of old ones, through the old (new) router
``router_old_states, router_new_states``    the new router instead of the old one, on old (new) states

``unrelated``: between positions of different groups. A router that was not trained changes nothing.
Also the shared expert's part s of its block's output s + r, of the trained network (``signal``) and of the
reference (``reference``): ``shared_norm_share`` |s| / (|s| + |r|), ``shared_projection`` s.(s + r) /
|s + r|^2. Intervals are over groups of
documents. A dense model gives no rows.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, intervals
from implicit_sparsity.options import option

from .base import Probe, by_group, where


@dataclass
class RoutingDrift(Probe):
    """Expert choices that changed, split by cause; the shared expert's share."""

    NEEDS = ("drift",)
    COLUMNS: ClassVar[tuple] = ("reference", "domain", "layer", "measure", "split", "quantity", "value")
    COLUMNS += ("low", "high", "n", "groups", "trusted", "unit")

    level: float = option(0.95, low=0.5, high=0.999, help="share of intervals that cover the truth")

    def rows(self, datasets):
        mixtures = [dataset for dataset in datasets.values() if "rerouted" in dataset]
        rows = []
        for dataset in mixtures:
            dense = dataset["rerouted"].isnull().all([d for d in dataset["rerouted"].dims if d != "layer"])
            here = dataset.isel(layer=~dense.values)  # layers without a router have nothing
            rows += [*self._changed(here), *(self._shared(here) if "shared" in here else ())]
        return rows

    def _changed(self, dataset):
        dims = ("reference", "domain", "layer", "split")
        values = dataset["rerouted"].transpose(*dims, "document").values
        null = dataset["rerouted_null"].transpose(*dims).values
        if not np.isfinite(values).all():
            raise InputError("shares of changed choices are not finite", key=where(dataset))
        for place in np.ndindex(null.shape):
            keys = {name: dataset[name].values[i].item() for name, i in zip(dims, place)}
            keys["measure"], names = "changed", _names(dataset, place[1])
            yield keys | self._mean("signal", values[place], names)
            bare = {"quantity": "unrelated", "value": float(null[place]), "low": np.nan, "high": np.nan}
            yield keys | bare | by_group(names)[1] | {"unit": "1"}

    def _shared(self, dataset):
        dims = ("share", "domain", "layer", "document")
        tuned = dataset["shared"].sel(network="tuned").transpose(*dims).values
        for reference in dataset["reference"].values:
            old = dataset["shared"].sel(network=reference).transpose(*dims).values
            for place in np.ndindex(tuned.shape[:-1]):
                named = dict(zip(dims, (dataset[d].values[i].item() for d, i in zip(dims, place))))
                keys = {"reference": str(reference), "domain": named["domain"], "layer": named["layer"]}
                keys |= {"measure": named["share"], "split": ""}
                names = _names(dataset, place[1])
                yield keys | self._mean("signal", tuned[place], names)
                yield keys | self._mean("reference", old[place], names)

    def _mean(self, quantity, documents, names):
        """Mean over documents with its interval; names: of their groups."""
        sizes, counted = by_group(names)
        values = clusters.leave_one_out(documents, names)
        low, high = intervals.jackknife_interval(values, level=self.level, sizes=sizes)
        numbers = {"quantity": quantity, "value": float(values[0]), "low": float(low), "high": float(high)}
        return numbers | counted | {"unit": "1"}


def _names(dataset, domain: int):
    """The groups of the documents of a domain, by its place."""
    return dataset["group"].isel(domain=domain).values
