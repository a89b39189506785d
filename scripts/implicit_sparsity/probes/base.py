"""What every probe shares: the stores of one checkpoint, and per-token means that know about routing.

A store (see ``measure_activations``) has accumulators ``[half, layer, neuron]`` over the two halves of a
domain's documents. The neuron axis of an MoE layer is its routed experts one after the other, then the
shared expert; ``expert(neuron)`` names the expert, -1 the shared one, and a mean is taken over the tokens
routed there.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import Options, option

__all__ = ["Probe", "check_comparable", "option", "per_token", "routed_per_neuron"]


@dataclass
class Probe(Options):
    """A probe: ``variables`` names what it reads from each store, ``rows`` measures."""

    def variables(self) -> tuple[str, ...]:
        """Names of the store variables that ``rows`` needs beside the coordinates."""
        raise NotImplementedError

    def rows(self, datasets: dict) -> list[dict]:
        """Rows of the probe's table (without model and checkpoint) from domain -> store of one checkpoint."""
        raise NotImplementedError


def routed_per_neuron(dataset) -> np.ndarray:
    """Tokens that reached each neuron, float ``[half, layer, neuron]`` (broadcastable for a dense store)."""
    tokens = dataset["tokens"].values.astype(np.float64)[:, None, None]
    if "expert" not in dataset.coords:
        return tokens
    expert = dataset["expert"].values
    routed = dataset["routed_tokens"].transpose("half", "layer", "expert_id").values.astype(np.float64)
    position = (
        {int(e): i for i, e in enumerate(dataset["expert_id"].values)}
        if "expert_id" in dataset.coords
        else {}
    )
    index = np.array([position.get(int(e), int(e)) for e in expert])
    return np.where(expert[None, None, :] < 0, tokens, routed[:, :, np.maximum(index, 0)])


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


def check_comparable(datasets: dict, tolerance: float) -> int:
    """The token budget of a half; InputError unless stores share a shape and, within tolerance, it."""
    shapes, budgets = {}, {}
    for domain, dataset in datasets.items():
        if dataset.sizes["half"] != 2:
            raise InputError(f"{dataset.sizes['half']} halves, not 2", key=where(dataset))
        shapes[domain] = (dataset.sizes["layer"], dataset.sizes["neuron"])
        budgets |= {f"{domain}/{h}": int(n) for h, n in zip(dataset["half"].values, dataset["tokens"].values)}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{domain} {layers} x {neurons}" for domain, (layers, neurons) in shapes.items())
        raise InputError(f"stores of different models (layers x neurons): {listed}")
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
