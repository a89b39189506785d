"""A side branch: K new feed-forward neurons beside a layer's own, on the same input, that a stage trains.

    y = FFN(x) + D (act((G + dG) x) * (U + dU) x)    G, U: copies of chosen neurons' rows; dG, dU, D from 0

Trained are dG, dU [K, H] and D [H, K], float32; the forward pass has them in the precision of the weights, as
they are saved. They are neurons K wide appended to the dense layer, or to a mixture's shared expert, whose
gate they are under; ``ffn`` numbers those last, so that no neuron's number changes.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn, loading
from implicit_sparsity.models.hooks.branching import side_branches


@dataclass
class Branch:
    """Per layer: (G, U [K, H] in the weights' precision, dG, dU [K, H], D [H, K])."""

    layers: list

    @contextmanager
    def applied(self, model):
        with side_branches(model, self.layers):
            yield

    def save(self, model, folder, precision: str) -> None:
        """Append the branch to the model's own weights and configuration, in place, and write the whole
        network."""
        config = model.config.get_text_config()
        for block, (gate, up, d_gate, d_up, down) in zip(ffn.feed_forwards(model), self.layers, strict=True):
            mlp = block.dense.mlp
            with torch.no_grad():
                grow(mlp.gate_proj, (gate + d_gate).to(gate.dtype), 0)
                grow(mlp.up_proj, (up + d_up).to(up.dtype), 0)
                grow(mlp.down_proj, down.to(gate.dtype), 1)
        size = "shared_expert_intermediate_size" if block.experts else "intermediate_size"
        setattr(config, size, getattr(config, size) + down.shape[1])
        del model.neuron_branch
        loading.save(model, folder, precision)


def grow(linear, more, axis: int) -> None:
    """Give a linear layer more outputs (axis 0) or inputs (axis 1)."""
    whole = torch.cat([linear.weight, more], axis)
    linear.weight = torch.nn.Parameter(whole, requires_grad=False)
    linear.out_features, linear.in_features = whole.shape


def attach(model, chosen: dict) -> Branch:
    """A branch that starts from the chosen neurons' rows and says nothing yet, its numbers registered on the
    model as ``neuron_branch``."""
    layers, parameters = [], torch.nn.ParameterDict()
    for block in ffn.feed_forwards(model):
        weight = block.dense.mlp.gate_proj.weight
        if not weight.is_floating_point():
            raise InputError("a side branch needs unquantized weights", key="methods")
        gate, up = _rows(block, chosen[block.layer].to(weight.device))
        starts = {name: torch.zeros(gate.shape, device=weight.device) for name in ("gate", "up")}
        starts["down"] = torch.zeros(gate.shape[::-1], device=weight.device)
        for name, start in starts.items():
            parameters[f"{block.layer}_{name}"] = torch.nn.Parameter(start)
        layers.append((gate, up, *(parameters[f"{block.layer}_{name}"] for name in starts)))
    model.neuron_branch = parameters
    return Branch(layers)


def _rows(block, index):
    """Copies of the rows (gate [K, H], up [K, H]) of neurons by number, ascending."""
    result = []
    for first, last, gate, up, _ in block.parts():
        here = index[(index >= first) & (index < last)] - first
        result.append((gate[here], up[here]))
    return tuple(torch.cat(rows).detach().clone() for rows in zip(*result, strict=True))
