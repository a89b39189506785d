"""How sparse are feed-forward activations? Per token and per domain: two different things, both reported.

scope "token" (counted token by token): ``zero_share``, the share of exactly zero h, and ``below_share``,
the share with |h| < eps * max|h| of the same token (driven by outliers). scope "domain" (on the vector of
mean |h| per neuron): Hoyer, Gini, participation ratio, and ``top_p_share``, the smallest share of neurons
that carries the share p of l1. In an MoE layer only neurons of experts that the token was routed to count.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity import sparsity
from implicit_sparsity.probes.base import Probe, option, per_token, routed_per_neuron


@dataclass
class ActivationSparsity(Probe):
    """Sparsity of |h| per layer, domain and half."""

    top_p: tuple = option((0.5, 0.9), low=0, high=1, help="shares p of l1 that the smallest set must carry")

    def variables(self):
        return ("tokens", "sum_abs", "above_count", "zero_count")

    def rows(self, datasets):
        rows = []
        for domain, dataset in datasets.items():
            halves, layers = dataset["half"].values, dataset["layer"].values
            for scope, measure, parameter, values in self._measures(dataset):
                keys = {"domain": domain, "scope": scope, "measure": measure, "parameter": parameter}
                rows += [
                    {
                        "layer": int(layer),
                        "half": str(half),
                        **keys,
                        "value": float(values[h, i]),
                        "tokens": int(n),
                    }
                    for h, (half, n) in enumerate(zip(halves, dataset["tokens"].values))
                    for i, layer in enumerate(layers)
                ]
        return [row | {"neurons": dataset.sizes["neuron"]} for row in rows]

    def _measures(self, dataset):
        """(scope, measure, parameter, values ``[half, layer]``) of everything measured."""
        mean = per_token(dataset, dataset["sum_abs"])
        seen = np.broadcast_to(routed_per_neuron(dataset), mean.shape).sum(
            axis=-1
        )  # activations, [half, layer]
        zero = dataset["zero_count"].transpose("half", "layer").values
        yield "token", "zero_share", np.nan, zero / seen
        above = dataset["above_count"].transpose("threshold", "half", "layer", "neuron").values.sum(axis=-1)
        for eps, count in zip(dataset["threshold"].values, above):
            yield "token", "below_share", float(eps), 1 - count / seen
        for measure in (sparsity.hoyer, sparsity.gini, sparsity.participation_ratio):
            yield "domain", measure.__name__, np.nan, measure(mean)
        for p in self.top_p:
            yield "domain", "top_p_share", float(p), sparsity.top_p_share(mean, p)
