"""Where a stage wrote: energy ||dW||_F^2 by feed-forward neuron, from its folder alone. NumPy, float64.

A neuron's energy is that of its rows of ``gate`` and ``up`` and of its column of ``down``. Of an adapter dW
= L R is never formed: the energy of row i is L_i (R R') L_i', that of column j is R_j' (L'L) R_j, and what
a stage added to the stage before is the ``difference`` of both (``adapter_factors``, with their shapes). Of
whole models weights are subtracted one at a time. Shapes: L layers, N neurons of a layer (numbered as in
``ffn``).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.tensors import Tensors

from . import adapter_factors

NEURON = re.compile(
    r"layers\.(\d+)\.mlp\.(?:experts\.(\d+)\.|(shared_experts?)\.)?(gate_up|gate|up|down)_proj$"
)
FUSED = re.compile(r"layers\.(\d+)\.(?:mlp|block_sparse_moe)\.experts\.(gate_up|down)_proj$")
STORED = (  # names that transformers gives weights in files alone
    (re.compile(r"block_sparse_moe\.experts\.(\d+)\.w1$"), r"mlp.experts.\1.gate_proj"),  # Mixtral
    (re.compile(r"block_sparse_moe\.experts\.(\d+)\.w2$"), r"mlp.experts.\1.down_proj"),
    (re.compile(r"block_sparse_moe\.experts\.(\d+)\.w3$"), r"mlp.experts.\1.up_proj"),
    (re.compile(r"block_sparse_moe\.gate$"), "mlp.gate"),
    (re.compile(r"block_sparse_moe\.input_linear$"), "block_sparse_moe.experts.gate_up_proj"),  # Granite
    (re.compile(r"block_sparse_moe\.output_linear$"), "block_sparse_moe.experts.down_proj"),
    (re.compile(r"block_sparse_moe\.router\.layer$"), "block_sparse_moe.router"),
)
LANGUAGE = re.compile(r"^(?:model\.|language_model\.)*")  # a vision-language checkpoint has one prefix more


@dataclass(frozen=True)
class Layout:
    """The feed-forward neurons of a network, and its hidden width. ``sizes`` and ``routed``: of each layer
    its neurons, and those of routed experts, where layers differ; else () and ()."""

    layers: int
    neurons: int  # of the widest layer
    hidden: int
    experts: int = 0
    width: int = 0  # of one routed expert
    shared: int = 0
    sizes: tuple = ()
    routed: tuple = ()

    @classmethod
    def of_store(cls, dataset, config: dict):
        """Of an activation store and the config.json of its model."""
        layers, neurons = dataset.sizes["layer"], dataset.sizes["neuron"]
        hidden = int(config.get("text_config", config)["hidden_size"])
        if "expert" not in dataset.coords:
            return cls(layers, neurons, hidden)
        owner = dataset["expert"].values
        experts, shared = int(owner.max()) + 1, int((owner < 0).sum())
        width = (neurons - shared) // experts
        if "layer_neurons" not in dataset.coords:
            return cls(layers, neurons, hidden, experts, width, shared)
        sizes, routed = (tuple(dataset[f"layer_{what}"].values.tolist()) for what in ("neurons", "routed"))
        shared = next(size - part for size, part in zip(sizes, routed, strict=True) if part)
        return cls(layers, neurons, hidden, experts, width, shared, sizes, routed)

    def size(self, layer: int) -> int:
        """Neurons of a layer."""
        return self.sizes[layer] if self.sizes else self.neurons

    def first(self, layer: int, expert, shared) -> int:
        """Number of the first neuron of a routed expert, of the shared one, or of a dense layer."""
        if shared:
            return self.routed[layer] if self.routed else self.neurons - self.shared
        return self.width * int(expert or 0)


@dataclass
class Energies:
    """``neurons [L, N]``, and of all other weights that were trained: their energy and their parameters."""

    neurons: np.ndarray
    elsewhere: float = 0.0
    parameters: int = 0  # of the weights that make up ``neurons``
    parameters_elsewhere: int = 0
    rank: int = 0  # of the adapter; 0: all weights


class Whole:
    """A whole model, or (``before``) what it has changed since another."""

    def __init__(self, folder, before=None):
        self.now, self.before = Tensors(folder), before and Tensors(before)
        self.earlier = {plain(name): name for name in self.before} if before else {}

    def weights(self, neurons_only: bool):
        """(plain name, values or what they changed by) of every weight."""
        for name in self.now:
            if neurons_only and _place(plain(name)) is None:
                continue
            values = self.change(name)
            if values is not None:
                yield plain(name), values

    def change(self, name, grown: bool = False):
        """One weight's values, or what they changed by; None: the other folder has it tied to another.
        ``grown``: a matrix may have got rows and columns at its end, which were zero before."""
        values = self.now[name]
        if self.before is None:
            return values
        old = self._earlier(plain(name))
        if old is None and plain(name) == "lm_head":  # tied to the embedding in the other folder
            return None
        if grown and old is not None and old.ndim == values.ndim == 2:
            more = np.subtract(values.shape, old.shape)
            old = np.pad(old, [(0, n) for n in more]) if (more >= 0).all() else old
        if old is None or old.shape != values.shape:
            earlier = "nothing" if old is None else old.shape
            raise InputError(f"{name} is {values.shape}, before {earlier}", path=self.now.path)
        return values - old

    def _earlier(self, name):
        """The same weight before; an expert's may have been part of a fused one. None: there is none."""
        if name in self.earlier:
            return self.before[self.earlier[name]]
        match = NEURON.search(name)
        kind = match and ("down" if match[4] == "down" else "gate_up")
        fused = match and match[2] and self.earlier.get(f"layers.{match[1]}.mlp.experts.{kind}_proj")
        if not fused:
            return None
        expert = int(match[2])
        if kind == "down":
            return self.before.part(fused, expert)
        width = self.before.shape(fused)[1] // 2
        rows = slice(width) if match[4] == "gate" else slice(width, None)
        return self.before.part(fused, (expert, rows))

    def energies(self, layout: Layout, neurons_only: bool = False) -> Energies:
        result = Energies(np.zeros((layout.layers, layout.neurons)))
        for name, values in self.weights(neurons_only):
            place = _place(name)
            if place is None:
                result.elsewhere += float(_squares(values.reshape(1, -1), 1).sum())
                result.parameters_elsewhere += values.size
                continue
            result.parameters += values.size
            stack = values if values.ndim == 3 else values[None]
            for expert, matrix in enumerate(stack):
                _add(result.neurons, layout, name, expert, lambda axis, m=matrix: _squares(m, axis))
        return result


class Adapter:
    """The factors of a PEFT LoRA folder, or (``before``) of what it adds to another."""

    def __init__(self, folder, layout: Layout, before=None):
        self.path, self.layout = Path(folder), layout
        self.factors, self.rank = _factors(folder, layout)
        if before is not None:
            for name, (a, b) in _factors(before, layout)[0].items():
                now = self.factors.get(name, (a[:, :0], b[:, :, :0]))
                self.factors[name] = adapter_factors.difference(now, (a, b))

    def energies(self) -> Energies:
        result = Energies(np.zeros((self.layout.layers, self.layout.neurons)), rank=self.rank)
        for name, (right, left) in self.factors.items():
            size = left.shape[0] * left.shape[1] * right.shape[2]
            if _place(name) is None:
                result.elsewhere += float(adapter_factors.product_energies(left, right, 0).sum())
                result.parameters_elsewhere += size
                continue
            result.parameters += size
            for expert in range(len(left)):
                parts = left[expert : expert + 1], right[expert : expert + 1]
                _add(
                    result.neurons,
                    self.layout,
                    name,
                    expert,
                    lambda axis, p=parts: adapter_factors.product_energies(*p, axis)[0],
                )
        return result


def _add(total, layout, name, number, energy_of):
    """Add one matrix's energies to the neurons it belongs to; ``number``: its place in a fused weight."""
    fused = FUSED.search(name)
    if fused:
        layer, kind = int(fused[1]), fused[2]
        first = layout.width * number
    else:
        layer, expert, shared, kind = NEURON.search(name).groups()
        layer = int(layer)
        first = layout.first(layer, expert, shared) if layer < len(total) else 0
    energy = energy_of(1 if kind == "down" else 0)
    if kind == "gate_up":
        energy = energy[: len(energy) // 2] + energy[len(energy) // 2 :]
    if layer >= len(total) or first + len(energy) > layout.size(layer):
        raise InputError(f"{name} has neurons that the activation store has not: another model's stage?")
    total[layer, first : first + len(energy)] += energy


def _place(name):
    return NEURON.search(name) or FUSED.search(name)


def plain(name: str) -> str:
    """A weight's name without prefixes and ``.weight``, the same for text and vision-language checkpoints.

    Layers outside the language model (vision, multi-token prediction) keep a prefix that no pattern ends in.
    """
    name = name.removesuffix(".weight")
    short = LANGUAGE.sub("", name)
    for stored, ours in STORED:
        short = stored.sub(ours, short)
    return (
        short if short.split(".")[0] in ("layers", "embed_tokens", "norm", "lm_head") else f"{name} (other)"
    )


def _squares(matrix, axis) -> np.ndarray:
    """Sum of squares of each row (0) or column (1) of a matrix, float64."""
    spec = "oi,oi->o" if axis == 0 else "oi,oi->i"
    return np.einsum(spec, matrix, matrix, dtype=np.float64)


def _factors(folder, layout) -> tuple[dict, int]:
    """({plain name: (R, L)}, rank) of a PEFT LoRA."""
    factors, rank = adapter_factors.read(folder, layout)
    return {plain(name): pair for name, pair in factors.items()}, rank
