"""Train the rows and columns of chosen feed-forward neurons, and save them as a LoRA that PEFT alone loads.

Shapes: L layers, N neurons of a layer (numbered as in ``ffn``), K chosen ones, H hidden width. Sets of
neurons are {layer: int64 [K], ascending}.
"""

import re
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from implicit_sparsity.models import adapters, ffn, lowrank
from implicit_sparsity.models.hooks.changing import neuron_deltas
from implicit_sparsity.models.protected import INPUT, OUTPUT, Protected


@dataclass
class Deltas:
    """Added rows and columns: per layer (index [K], gate [K, H], up [K, H], down [H, K])."""

    layers: list

    @classmethod
    def from_state(cls, state: dict):
        count = len({name.split(".")[1] for name in state if name.startswith("layers.")})
        parts = ("index", "gate", "up", "down")
        return cls([tuple(state[f"layers.{layer}.{part}"] for part in parts) for layer in range(count)])

    def to_state(self) -> dict:
        return {
            f"layers.{layer}.{part}": tensor.detach().clone()
            for layer, tensors in enumerate(self.layers)
            for part, tensor in zip(("index", "gate", "up", "down"), tensors, strict=True)
        }

    def without(self, chosen: dict):
        """These deltas but those of the chosen neurons."""
        retained = []
        for layer, (index, gate, up, down) in enumerate(self.layers):
            here = ~torch.isin(index, chosen[layer])
            retained.append((index[here], gate[here], up[here], down[:, here]))
        return Deltas(retained)

    def beside(self, model):
        """The same on the devices of the layers they belong to."""
        devices = [next(block.mlp.parameters()).device for block in ffn.feed_forwards(model)]
        pairs = zip(self.layers, devices, strict=False)  # there may be none
        return Deltas([tuple(tensor.to(device) for tensor in tensors) for tensors, device in pairs])

    @contextmanager
    def applied(self, model):
        """The model computes as if they had been added."""
        if not self.layers:
            yield
            return
        with neuron_deltas(model, *map(list, zip(*self.layers, strict=True))):
            yield

    def joined_with(self, other):
        """These and the deltas of other neurons."""
        if not self.layers:
            return Deltas([tuple(tensor.detach().cpu() for tensor in tensors) for tensors in other.layers])
        merged = []
        for ours, theirs in zip(self.layers, other.layers, strict=True):
            index = torch.cat([ours[0].cpu(), theirs[0].cpu()]).unique()
            total = [index]
            for part, axis in ((1, 0), (2, 0), (3, 1)):
                shape = list(ours[part].shape)
                shape[axis] = len(index)
                tensor = torch.zeros(shape, dtype=ours[part].dtype)
                for source in (ours, theirs):
                    at = torch.searchsorted(index, source[0].cpu())
                    tensor.index_add_(axis, at, source[part].detach().cpu())
                total.append(tensor)
            merged.append(tuple(total))
        return Deltas(merged)

    def change_norms(self, before: dict, guarded: dict) -> tuple[float, float]:
        """(norm of what changed on guarded neurons, norm of all that changed) since the copies ``before``."""
        parts = []
        for layer, (index, *tensors) in enumerate(self.layers):
            inside = torch.isin(index, guarded.get(layer, index.new_empty(0)).to(index.device))
            for part, tensor in zip(("gate", "up", "down"), tensors, strict=True):
                change = (tensor.detach() - before[f"neuron_deltas.{layer}_{part}"]).double().square()
                each = change.sum(0 if part == "down" else 1)
                parts.append(torch.stack([(each * inside).sum(), each.sum()]))
        forbidden, total = lowrank.summed(parts)
        return forbidden**0.5, total**0.5

    def save_as_lora(self, model, folder) -> None:
        """Write a PEFT LoRA with alpha = rank, one factor of which is ones at the chosen neurons."""
        blocks = ffn.feed_forwards(model)
        rank = max(_ranks(blocks, self.layers))
        wrapped = adapters.add_lora(model, rank, rank, targets="mlp", init_lora_weights=False)
        with torch.no_grad():
            for name, factor in lowrank.factors(wrapped).items():
                a, b = (tensor.zero_() for tensor in factor.views)
                layer = int(re.search(r"layers\.(\d+)\.", name).group(1))
                _fill(name, blocks[layer], self.layers[layer], a, b)
        wrapped.save_pretrained(str(folder))


def attach(model, chosen: dict, start: Deltas) -> Deltas:
    """Trainable deltas of the chosen neurons, registered on the model as ``neuron_deltas``: zeros, or what
    ``start`` says of a neuron."""
    blocks, hidden = ffn.feed_forwards(model), model.config.get_text_config().hidden_size
    layers, parameters = [], torch.nn.ParameterDict()
    for layer, index in sorted(chosen.items()):
        shapes = {"gate": (len(index), hidden), "up": (len(index), hidden), "down": (hidden, len(index))}
        device = next(blocks[layer].mlp.parameters()).device
        first = {part: torch.zeros(shape) for part, shape in shapes.items()}
        if start.layers:
            _copy_common(index, first, *start.layers[layer])
        for part in shapes:
            parameters[f"{layer}_{part}"] = torch.nn.Parameter(first[part].to(device))
        layers.append((index.to(device), *(parameters[f"{layer}_{part}"] for part in shapes)))
    model.neuron_deltas = parameters
    return Deltas(layers)


def _copy_common(index, first, known, gate, up, down) -> None:
    """Fill ``first`` where a neuron of ``index`` is among the ``known`` ones; both ascending."""
    here = torch.isin(index, known).nonzero().flatten()
    there = torch.searchsorted(known, index[here])
    first["gate"][here], first["up"][here] = gate[there], up[there]
    first["down"][:, here] = down[:, there]


def _ranks(blocks, layers):
    for block, (index, *_) in zip(blocks, layers, strict=True):
        for first, last, *_ in block.parts():
            count = int(((index >= first) & (index < last)).sum())
            fused = last <= block.routed or block.dense.fused  # rows of gate and of up in one weight
            yield max(1, 2 * count if fused else count)


def _fill(name, block, tensors, a, b) -> None:
    """Write one layer's deltas into the zeroed factors A [X, r, i], B [X, o, r] of the weight called
    ``name``."""
    index, gate, up, down = (tensor.detach().to(a.device) for tensor in tensors)
    name = name.removesuffix(".weight")
    dense = ".experts." not in name
    for expert in range(len(a)):
        first = block.dense.first if dense else expert * block.width
        last = block.size if dense else first + block.width
        here = ((index >= first) & (index < last)).nonzero().flatten()
        unit, rank = index[here] - first, torch.arange(len(here), device=a.device)
        if name.endswith("down_proj"):
            a[expert, rank, unit], b[expert, :, : len(here)] = 1.0, down[:, here]
        elif name.endswith("gate_up_proj"):
            a[expert, : len(here)], b[expert, unit, rank] = gate[here], 1.0
            a[expert, len(here) : 2 * len(here)] = up[here]
            b[expert, last - first + unit, len(here) + rank] = 1.0
        else:
            rows = gate if name.endswith("gate_proj") else up
            a[expert, : len(here)], b[expert, unit, rank] = rows[here], 1.0


def unwritten(changes: dict) -> dict:
    """{weight: Protected} of coordinates that dW has zero: inputs of down, outputs of gate and up.
    ``changes``: ``passes.stage_change.changes`` of an adapter that ``save_as_lora`` wrote."""
    result = {}
    for name, change in changes.items():
        down = name.endswith("down_proj")
        free = (change.matrix() == 0).all(1 if down else 2).double()
        result[name] = Protected(free, side=INPUT if down else OUTPUT)
    return result
