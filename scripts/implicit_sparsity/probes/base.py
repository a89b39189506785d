"""What every probe shares: the stores of one checkpoint, and per-token means that know about routing.

A store of the measurement ``activations`` has accumulators ``[half, layer, neuron]`` over the two halves of a
domain's documents. The neuron axis of an MoE layer is its routed experts one after the other, then the
shared expert; ``expert(neuron)`` names the expert, -1 the shared one, and a mean is taken over the tokens
routed there.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, separation
from implicit_sparsity.options import Options
from implicit_sparsity.storage import store

SIZES = ("layer_neurons", "layer_routed")  # coordinates of a store whose layers are of several forms
COUNTED = ("documents", "document_groups", "group_tokens")  # what ``counted`` reads of a store of activations


@dataclass
class Probe(Options):
    """A probe: ``NEEDS`` names what it reads, ``rows`` measures.

    ``rows`` gets one argument a name in ``NEEDS``, all of one checkpoint, empty where it was not measured: a
    measurement: domain -> store ("" where one store holds all domains); with ``_base`` after it: the same of
    the base model, whatever the checkpoint; "controls": "domain.control" -> store; "adapters": number of the
    stage -> its folder, of all stages up to the checkpoint's; "models": "" -> the base model's folder. The
    workflow reads ``NEEDS`` from source, so it is a literal.
    """

    NEEDS: ClassVar[tuple] = ("activations",)
    COLUMNS: ClassVar[tuple] = ()  # of ``rows``, where there may be none; else they say it themselves

    def variables(self) -> tuple[str, ...] | None:
        """Names of the store variables that ``rows`` needs beside the coordinates; None: all of them."""
        return None

    def optional(self) -> tuple[str, ...]:
        """Names of those that it takes where the store has them."""
        return ("routed_tokens",)

    def reads(self, need: str) -> tuple:
        """(variables, optional ones) of the stores of ``need``: those above, of any but activations all."""
        shared = need in ("activations", "activations_base", "controls")
        return (self.variables(), self.optional()) if shared else (None, ())

    def rows(self, datasets: dict) -> list[dict]:
        """Rows of the probe's table (without model and checkpoint); arguments as in ``NEEDS``."""
        raise NotImplementedError

    def table(self, *parts: dict) -> list[dict]:
        """``rows``, asked of layers of one form at a time where a network has layers of several."""
        return [row for of_form in by_form(*parts) for row in self.rows(*of_form)]


def by_form(*parts: dict) -> list:
    """The stores of ``parts``, of layers of one form at a time: a list of such ``parts``."""
    mixed = (d for part in parts for d in part.values() if SIZES[0] in getattr(d, "coords", ()))
    forms = [list(zip(*(d[name].values.tolist() for name in SIZES), strict=True)) for d in mixed]
    if not forms:
        return [parts]
    return [
        [{key: _of_one_form(dataset, *form) for key, dataset in part.items()} for part in parts]
        for form in dict.fromkeys(forms[0])
    ]


def _of_one_form(dataset, size: int, routed: int):
    """The layers of a store of activations that have ``size`` neurons, ``routed`` of them of routed experts,
    without what they have not; any other store as it is."""
    if SIZES[0] not in getattr(dataset, "coords", ()):
        return dataset
    here = (dataset[SIZES[0]].values == size) & (dataset[SIZES[1]].values == routed)
    part = dataset.isel(layer=here, neuron=slice(size), missing_dims="ignore").drop_vars(SIZES)
    if routed:
        return part
    of_experts = [name for name in part.variables if "expert_id" in part[name].dims]
    return part.drop_vars([*of_experts, "expert", "unit", "routed_tokens"], errors="ignore")


@dataclass
class ActivityProbe(Probe):
    """A probe of mean |h|, with intervals where the store has sums by groups of documents."""

    def variables(self):
        return ("tokens", "sum_abs")

    def optional(self):
        return ("routed_tokens", *COUNTED, "group_sum_abs", "group_routed_tokens")


def routed_per_neuron(dataset) -> np.ndarray:
    """Tokens that reached each neuron, float ``[half, layer, neuron]`` (broadcastable for a dense store)."""
    tokens = dataset["tokens"].values.astype(np.float64)[:, None, None]
    if "expert" not in dataset.coords:
        return tokens
    routed = dataset["routed_tokens"].transpose("half", "layer", "expert_id").values.astype(np.float64)
    owner = _owner(dataset)
    return np.where(owner < 0, tokens, routed[:, :, np.maximum(owner, 0)])


def _owner(dataset) -> np.ndarray:
    """Position of each neuron's expert on the axis ``expert_id``, -1 for the shared expert."""
    expert = dataset["expert"].values
    if "expert_id" not in dataset.coords:
        return expert
    position = {int(e): i for i, e in enumerate(dataset["expert_id"].values)}
    return np.array([position.get(int(e), int(e)) for e in expert])


def group_sums(dataset, layer: int):
    """(sums ``[half, group, neuron]``, counts ``[half, group, C]``, owner ``[neuron]`` or None) of one layer.

    A neuron's mean over some groups is its sums over ``counts[..., owner]``; None: over the one count there
    is. Of a mixture the last count is that of all tokens, which the shared expert sees.
    """
    sums = store.layer_of(dataset, "group_sum_abs", layer).transpose("half", "group", "neuron").values
    if not np.isfinite(sums).all():
        raise InputError(f"group_sum_abs is not finite in layer {layer}", key=where(dataset))
    counts = dataset["group_tokens"].transpose("half", "group").values[..., None].astype(np.float64)
    if "expert" not in dataset.coords:
        return sums, counts, None
    routed = dataset["group_routed_tokens"].isel(layer=layer).transpose("half", "group", "expert_id").values
    return sums, np.concatenate([routed, counts], axis=-1), _owner(dataset)


def halves_of(dataset, scores, layer: int, factor=None) -> list:
    """The two ``separation.Half`` of one layer, of scores ``[half, layer, neuron]``; ``factor [neuron]`` of
    groups' sums. Without groups in the store they have none, and nothing gets an interval."""
    if "group_sum_abs" not in dataset:
        return [separation.Half(score) for score in scores[:, layer]]
    sums, counts, owner = group_sums(dataset, layer)
    sums = sums if factor is None else sums * factor
    return [separation.Half(score, *parts, owner) for score, *parts in zip(scores[:, layer], sums, counts)]


def counted(*datasets, halves=slice(None)) -> dict:
    """Columns ``n``, documents of these halves of the stores; ``groups``, independent groups that
    intervals are over, of the half that has fewest; ``trusted``, whether there are enough. 0 where a
    store does not say.

    Where a store has several groups in a part, the parts are counted.
    """
    documents, groups = [0], []
    for dataset in datasets:
        parts = [0]
        if "document_groups" in dataset and "group_tokens" in dataset:
            tokens = dataset["group_tokens"].transpose("half", "group").values[halves]
            parts = np.minimum((tokens > 0).sum(axis=1), dataset["document_groups"].values[halves])
        groups += map(int, parts)
        documents += map(int, dataset["documents"].values[halves] if "documents" in dataset else ())
    return {"n": sum(documents), "groups": min(groups), "trusted": clusters.trusted(groups)}


def by_group(names) -> tuple:
    """(documents of each group, int [G]; columns ``n``, ``groups`` and ``trusted``) of documents whose groups
    have these names [D]."""
    sizes = np.bincount(clusters.places(names))
    return sizes, {"n": len(names), "groups": len(sizes), "trusted": clusters.trusted(len(sizes))}


def by_kind(rows: list, *but: str) -> list:
    """The rows sorted by what they are of, in the order met, equal but for values, intervals and ``but``."""
    numbers, order = {"value", "low", "high", *but}, {}

    def place(row):
        return order.setdefault(tuple(v for key, v in row.items() if key not in numbers), len(order))

    return sorted(rows, key=place)


def by_control(stores: dict) -> dict:
    """control -> domain -> store, from stores by "domain.control"."""
    result = {}
    for name, dataset in stores.items():
        domain, control = name.split(".")
        result.setdefault(control, {})[domain] = dataset
    return result


def per_token(dataset, variable) -> np.ndarray:
    """``variable`` as a mean over the tokens that reached the neuron, float64 ``[half, layer, neuron]``.

    A neuron of an expert that no token reached scores 0. Raises InputError for NaN and for a half without
    tokens.
    """
    total = variable.transpose("half", "layer", "neuron").values.astype(np.float64)
    if not np.isfinite(total).all():
        layers = np.unique(np.argwhere(~np.isfinite(total))[:, 1])
        raise InputError(f"{variable.name} is not finite in layers {layers.tolist()}", key=where(dataset))
    if (dataset["tokens"].values <= 0).any():
        raise InputError("a half has no tokens: too few documents for two halves", key=where(dataset))
    tokens = np.broadcast_to(routed_per_neuron(dataset), total.shape)
    return np.divide(total, tokens, out=np.zeros_like(total), where=tokens > 0)


def check_comparable(datasets: dict, tolerance: float, axis: str = "neuron") -> int:
    """The token budget of a half; InputError unless stores share a shape (layers x ``axis``) and, within
    tolerance, it."""
    shapes, budgets = {}, {}
    for domain, dataset in datasets.items():
        if dataset.sizes["half"] != 2:
            raise InputError(f"{dataset.sizes['half']} halves, not 2", key=where(dataset))
        shapes[domain] = (dataset.sizes["layer"], dataset.sizes[axis])
        budgets |= {f"{domain}/{h}": int(n) for h, n in zip(dataset["half"].values, dataset["tokens"].values)}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{domain} {layers} x {neurons}" for domain, (layers, neurons) in shapes.items())
        raise InputError(f"stores of different models (layers x {axis.removesuffix('_id')}s): {listed}")
    low, high = min(budgets, key=budgets.get), max(budgets, key=budgets.get)
    if budgets[low] < (1 - tolerance) * budgets[high]:
        raise InputError(
            f"halves of unequal token budget: {low} has {budgets[low]}, {high} has {budgets[high]} "
            f"(more than {tolerance:.0%} apart; overlap grows with the budget)"
        )
    return budgets[low]


def where(dataset) -> str:
    """Which store a message is about."""
    return ".".join(str(dataset.attrs.get(key, "?")) for key in ("model", "checkpoint", "domain"))
