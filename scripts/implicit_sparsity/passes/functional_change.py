"""What a stage's update does to the outputs of the weights that it wrote, on documents.

Sums over the tokens of each document, at the network before the stage, of the squared norms of what a weight
W reads (x) and gives (W x), of dW x, and of the part that the method protects. Of fused experts a token
counts once for every expert that it is routed to. Shapes: D documents, T tokens of a batch, i and o widths.
"""

import re

import numpy as np
import torch

from implicit_sparsity.models import ffn, forward
from implicit_sparsity.models.hooks.watching import ffn_activations, module_calls, module_inputs
from implicit_sparsity.models.protected import INPUT, OUTPUT
from implicit_sparsity.models.weight_names import LAYER, ROUTER

from .document_loop import over_documents

QUANTITIES = ("input", "protected_input", "output", "protected_output", "change")
EXPERTS = re.compile(r"layers\.(\d+)\.\w+\.experts\.(gate_up|down)_proj$")


def measure(model, changes: dict, protected: dict, ids, skip_first: int, batch_tokens: int):
    """(names of weights, sums float64 [D, weight, quantity]) over documents ``ids`` (of each its tokens), of
    all tokens but the first ``skip_first``. By name ``changes``: dW (``stage_change``), ``protected``:
    ``models.protected.Protected``."""
    modules, fused = watched(model, changes)
    names = [*modules, *fused]
    sums = Sums(len(ids), names, changes, protected)
    experts = Experts(model, fused, sums)

    def see(name, x, y):
        if isinstance(y, tuple):  # a router says more than its logits
            y = x @ ffn.effective_weight(modules[name], "weight").to(x.dtype).T
        elif (bias := getattr(ffn.base_layer(modules[name]), "bias", None)) is not None:
            y = y - bias
        sums.add_all(name, x, y)

    keeps = [np.arange(len(tokens)) >= skip_first for tokens in ids]
    inside = ffn_activations(model, lambda *_: None, experts.see)
    with module_calls(modules, see), module_inputs(experts.modules, experts.arrive), inside:
        over_documents(model, ids, keeps, batch_tokens, sums.begin, groups=np.arange(len(ids)))
    return names, sums.values


def watched(model, names) -> tuple[dict, list]:
    """({name: module} of linear layers and routers, names of fused experts' weights): of the weights of
    decoder layers among ``names`` those whose inputs can be watched."""
    network, modules, fused = forward.decoder(model), {}, []
    for name in filter(LAYER.match, names):
        if EXPERTS.match(name):
            fused.append(name)
            continue
        module = network.get_submodule(name) if _is_module(network, name) else None
        if isinstance(ffn.base_layer(module), torch.nn.Linear) or ROUTER.search(name):
            modules[name] = module
    return modules, fused


def _is_module(network, name) -> bool:
    """Not a bare parameter, such as A_log."""
    above, _, last = name.rpartition(".")
    return last in dict(network.get_submodule(above).named_children())


class Sums:
    """Sums of the batches seen so far, ``values`` float64 [D, weight, quantity]."""

    def __init__(self, documents: int, names: list, changes: dict, protected: dict):
        self.places = {name: place for place, name in enumerate(names)}
        self.changes, self.protected = changes, protected
        self.values = np.zeros((documents, len(names), len(QUANTITIES)))
        self.last = None, None, None  # x, its basis, (rows that count, energies): q, k and v share them

    def begin(self, keep, owner, _):
        self.keep, self.owner, self.rows = keep, owner, keep.nonzero().flatten()

    def add_all(self, name, x, y):
        """Count in what a weight read, x [B, S, i], and gave, y [B, S, o]."""
        guard = self.protected.get(name)
        basis = None if guard is None else guard.basis
        rows = self.rows.to(x.device)
        if x is not self.last[0] or basis is None or basis is not self.last[1]:
            counted = x.flatten(0, -2)[rows]
            self.last = x, basis, (counted, _squares(counted), self._held(name, counted, INPUT))
        counted, energy, held = self.last[2]
        self._add(name, self.rows, counted, y.flatten(0, -2)[rows], (energy, held))

    def add_rows(self, name, positions, x, y, expert: int):
        """Count in rows of an expert, x [T, i] and y [T, o], of these ``positions`` of the flat batch."""
        energies = _squares(x), self._held(name, x, INPUT, expert)
        self._add(name, positions, x, y, energies, expert)

    def _add(self, name, positions, x, y, energies, expert: int = 0):
        change = self.changes[name].apply(x, expert)[:, : y.shape[1]]  # of rows that were there before
        parts = *energies, _squares(y), self._held(name, y, OUTPUT, expert), _squares(change)
        owner = self.owner[positions]
        for quantity, part in enumerate(parts):
            if part is not None:
                each = torch.zeros(len(self.values), dtype=torch.float64).index_add_(0, owner, part.cpu())
                self.values[:, self.places[name], quantity] += each.numpy()

    def _held(self, name, values, side, expert: int = 0):
        guard = self.protected.get(name)
        return guard.energy(values, expert) if guard is not None and guard.side == side else None


def _squares(x):
    return torch.linalg.vector_norm(x, dim=1, dtype=torch.float64).square()


class Experts:
    """Hands what reaches each fused expert, and its activations, to ``sums``; ``fused``: names of weights."""

    def __init__(self, model, fused: list, sums: Sums):
        self.sums, self.inputs = sums, {}
        layers = sorted({int(EXPERTS.match(name)[1]) for name in fused})
        blocks = ffn.feed_forwards(model)
        self.modules = {layer: blocks[layer].fused_experts for layer in layers}
        self.weights = {
            name: ffn.effective_weight(blocks[int(match[1])].mlp.experts, f"{match[2]}_proj")
            for name in fused
            if (match := EXPERTS.match(name))
        }

    def arrive(self, layer, x):
        self.inputs[layer] = x.flatten(0, -2)

    def see(self, block, experts, positions, h, _):
        if block.layer not in self.inputs:
            return
        x = self.inputs.pop(block.layer)
        counted = self.sums.keep.to(positions.device)[positions]
        experts, positions, h = experts[counted], positions[counted], h[counted]
        hit, counts = (part.tolist() for part in experts.unique_consecutive(return_counts=True))
        for expert, at, activity in zip(hit, positions.split(counts), h.split(counts), strict=True):
            for part, read in (("gate_up", x[at]), ("down", activity)):
                name = block.full_name(f"experts.{part}_proj").removeprefix("model.")
                if name in self.weights:
                    output = read @ self.weights[name][expert].to(read.dtype).T
                    self.sums.add_rows(name, at.cpu(), read, output, expert)
