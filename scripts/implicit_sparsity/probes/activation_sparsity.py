"""How sparse are feed-forward activations, per token and per domain? Two different things, by layer.

Per token: ``zero_share`` (exactly 0) and ``below_share`` (|h| < threshold * the token's largest |h|, driven
by outliers). Per domain, on the vector of mean |h| over neurons: ``hoyer`` (sqrt n - l1/l2) / (sqrt n - 1),
``gini``, ``participation_ratio`` (sum x^2)^2 / sum x^4 / n, and ``top_p_share``, the smallest share of
neurons that carries the share p of l1. In an MoE layer only neurons of experts that the token was routed to
count. Intervals are over groups of documents, see ``intervals``; those per token from the sampled tokens.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from implicit_sparsity.metrics import intervals, separation, sparsity
from implicit_sparsity.options import option

from .base import COUNTED, Probe, counted, group_sums, per_token, routed_per_neuron


@dataclass
class ActivationSparsity(Probe):
    """Sparsity of |h| per layer, domain and half."""

    top_p: tuple[float, ...] = option(
        (0.5, 0.9), above=0, high=1, help="shares p of l1 that the smallest set must carry"
    )

    def variables(self):
        return ("tokens", "sum_abs", "above_count", "zero_count")

    def optional(self):
        groups = ("group_sum_abs", "group_routed_tokens", "group_above", "group_zero", "group_sampled")
        return ("routed_tokens", *COUNTED, *groups)

    def rows(self, datasets):
        rows = []
        for domain, dataset in datasets.items():
            halves, layers = dataset["half"].values, dataset["layer"].values
            numbers = [counted(dataset, halves=slice(h, h + 1)) for h in range(len(halves))]
            spread = self._intervals(dataset)
            for scope, measure, parameter, values in self._measures(dataset):
                keys = {"domain": domain, "scope": scope, "measure": measure, "parameter": parameter}
                low, high = spread.get((measure, parameter), np.full((2, *values.shape), np.nan))
                rows += [
                    {
                        "layer": int(layer),
                        "half": str(half),
                        **keys,
                        "value": float(values[h, i]),
                        "low": float(values[h, i] + low[h, i]),
                        "high": float(values[h, i] + high[h, i]),
                        **numbers[h],
                        "unit": "1",
                        "tokens": int(dataset["tokens"].values[h]),
                    }
                    for h, half in enumerate(halves)
                    for i, layer in enumerate(layers)
                ]
        return [row | {"neurons": dataset.sizes["neuron"]} for row in rows]

    def _measures(self, dataset):
        """(scope, measure, parameter, values ``[half, layer]``) of everything measured."""
        mean = per_token(dataset, dataset["sum_abs"])
        # activations, [half, layer]
        seen = np.broadcast_to(routed_per_neuron(dataset), mean.shape).sum(axis=-1)
        zero = dataset["zero_count"].transpose("half", "layer").values
        yield "token", "zero_share", None, zero / seen
        above = dataset["above_count"].transpose("threshold", "half", "layer", "neuron").values.sum(axis=-1)
        for eps, count in zip(dataset["threshold"].values, above):
            yield "token", "below_share", float(eps), 1 - count / seen
        for (measure, p), function in self._of_a_domain().items():
            yield "domain", measure, p, function(mean)

    def _of_a_domain(self) -> dict:
        """(measure, parameter) -> function of mean |h| over the last axis."""
        plain = (sparsity.hoyer, sparsity.gini, sparsity.participation_ratio)
        result = {(measure.__name__, None): measure for measure in plain}
        return result | {("top_p_share", float(p)): partial(sparsity.top_p_share, p=p) for p in self.top_p}

    def _intervals(self, dataset) -> dict:
        """(measure, parameter) -> (low, high) ``[half, layer]``, less the value; empty without groups."""
        if "group_sum_abs" not in dataset:
            return {}
        shape = dataset.sizes["half"], dataset.sizes["layer"]
        result = {}

        def reach(key, h, i, statistic, stratum):
            value, low, high = intervals.smooth_interval(statistic, stratum)
            result.setdefault(key, np.full((2, *shape), np.nan))[:, h, i] = low - value, high - value

        for h, i in np.ndindex(*shape):
            one = dataset.isel(half=h, layer=i)
            sampled = one["group_sampled"].values
            reach(("zero_share", None), h, i, _share, (one["group_zero"].values, sampled))
            above = one["group_above"].transpose("threshold", "group").values
            for eps, count in zip(dataset["threshold"].values, above):
                reach(("below_share", float(eps)), h, i, _share, (count, sampled))
        for i in range(shape[1]):
            sums, counts, owner = group_sums(dataset, i)
            for h in range(shape[0]):
                for key, function in self._of_a_domain().items():
                    statistic = partial(_of_mean, function, owner)
                    reach(key, h, i, statistic, (sums[h], counts[h]))
        return result


def _share(sums):
    """Of those counted, a share; its complement has the same interval."""
    count, of = sums
    return np.divide(count, of, out=np.full(np.shape(of), np.nan), where=np.asarray(of) > 0)


def _of_mean(function, owner, sums):
    return function(separation.scores(*sums, owner))
