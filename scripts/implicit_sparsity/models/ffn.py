"""Where a network's feed-forward neurons are, whatever its family calls them, under one numbering.

A neuron is gated: it says act(gate x) * (up x), whatever the activation function, and its column of ``down``
writes that. Its row of ``gate`` and of ``up`` are in two weights, or below each other in one (``gate_up``:
Phi-3, GLM, the routed experts of mixtures). In a mixture of experts the neurons of a layer are numbered
expert by expert, and the shared expert's, where there is one, come last:

    dense:    0 .. width - 1
    mixture:  expert * width + unit; of the shared expert experts * width + unit

Layers of one network may differ: some mixtures begin with dense layers. Shapes: N neurons of the layer, K
chosen ones, H hidden width.
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError

from . import families
from .forward import base_network, decoder, plain_weight

BLOCKS = ("mlp", "block_sparse_moe")  # families' names of a layer's feed-forward block,
ROUTERS = ("gate", "router")  # of what chooses among its routed experts
SHARED = ("shared_expert", "shared_experts")  # and of the expert that every token reads


@dataclass(frozen=True)
class Dense:
    """Neurons that every token reads: a dense layer's, or the shared expert's of a mixture."""

    name: str  # of the module in its layer, as ``mlp.shared_expert``
    mlp: object  # the torch module
    first: int  # number of its first neuron in the layer
    width: int

    @property
    def fused(self) -> bool:
        """Whether gate and up are one weight."""
        return hasattr(self.mlp, "gate_up_proj")

    @property
    def act(self):
        """The activation function."""
        return _activation(self.mlp)

    def weights(self) -> tuple:
        """(gate [n, H], up [n, H], down [H, n]): views of weights."""
        return self._split(lambda module: base_layer(module).weight)

    def plain_weights(self) -> tuple:
        """The same as numbers, float32, also where they are quantized."""
        return self._split(lambda module: plain_weight(base_layer(module)))

    def _split(self, weight):
        down = weight(self.mlp.down_proj)
        if self.fused:
            return (*weight(self.mlp.gate_up_proj).chunk(2), down)
        return weight(self.mlp.gate_proj), weight(self.mlp.up_proj), down

    @property
    def biased(self) -> bool:
        names = ("gate_up_proj",) if self.fused else ("gate_proj", "up_proj")
        modules = (base_layer(getattr(self.mlp, name)) for name in (*names, "down_proj"))
        return any(module.bias is not None for module in modules)


@dataclass(frozen=True)
class FeedForward:
    """The feed-forward block of one layer."""

    layer: int
    mlp: object  # the torch module
    width: int  # neurons of the dense layer, or of one routed expert
    experts: int = 0  # routed experts; 0 in a dense layer
    shared: int = 0  # neurons of the shared expert; 0 where there is none
    name: str = "mlp"  # of the module in its layer

    @property
    def size(self) -> int:
        """Neurons of the layer, N."""
        return self.routed + self.shared if self.experts else self.width

    @property
    def routed(self) -> int:
        """Neurons of all routed experts together; 0 in a dense layer."""
        return self.experts * self.width

    @property
    def owner(self):
        """Whose each neuron is, int64 [N]: a routed expert's number; -1 of a shared one or a dense layer."""
        experts = torch.arange(self.experts).repeat_interleave(self.width)
        return torch.cat([experts, torch.full((self.size - self.routed,), -1)])

    @property
    def dense(self) -> Dense | None:
        """The dense layer, or the shared expert; None in a mixture without."""
        if not self.experts:
            return Dense(self.name, self.mlp, 0, self.width)
        name = _first(self.mlp, SHARED)
        return name and Dense(f"{self.name}.{name}", getattr(self.mlp, name), self.routed, self.shared)

    @property
    def router_name(self) -> str:
        """What this family calls what chooses the experts."""
        return _first(self.mlp, ROUTERS)

    @property
    def router(self):
        """What chooses the experts; it may be wrapped by PEFT."""
        return getattr(self.mlp, self.router_name)

    @property
    def fused_experts(self):
        """The module that holds all routed experts' weights, under PEFT's wrappers."""
        return base_layer(self.mlp.experts)

    def full_name(self, part: str) -> str:
        """A weight's name in the network: of ``part`` as it is called in this block."""
        return f"model.layers.{self.layer}.{self.name}.{part}"

    def parts(self):
        """(first neuron, last neuron + 1, gate [n, H], up [n, H], down [H, n]) of each expert: views of
        weights."""
        if self.experts:
            fused = self.fused_experts
            for expert in range(self.experts):
                first, gate_up = expert * self.width, fused.gate_up_proj[expert]
                yield (first, first + self.width, *gate_up.chunk(2), fused.down_proj[expert])
        if dense := self.dense:
            yield (dense.first, self.size, *dense.weights())

    def down_norms(self):
        """||W_down[:, i]||_2 of every neuron, float64 [N]: what one unit of activation writes, adapters
        included."""
        norms = []
        if self.experts:
            norms = list(map(_column_norms, effective_weight(self.mlp.experts, "down_proj")))  # [X, H, n]
        if dense := self.dense:
            norms.append(_column_norms(effective_weight(dense.mlp.down_proj)))
        return torch.cat(norms)


def _column_norms(weight):
    return weight.double().square().sum(0).sqrt()  # a third of the time of ``norm(dim=0)``


def _first(module, names) -> str | None:
    return next((name for name in names if getattr(module, name, None) is not None), None)


def _activation(mlp):
    return mlp.act_fn if hasattr(mlp, "act_fn") else mlp.activation_fn


def base_layer(module):
    """The module under PEFT's wrappers."""
    while hasattr(module, "base_layer"):
        module = module.base_layer
    return module


def effective_weight(module, parameter: str | None = None):
    """A weight with the adapters that are at work on it, float32: ``parameter`` of fused experts, or a linear
    layer's."""
    total = plain_weight(base_layer(module), parameter or "weight")
    while hasattr(module, "base_layer"):
        if getattr(module, "parameter_name", None) == parameter:
            for name in set(module.active_adapters) & set(module.lora_A):
                total = total + module.get_delta_weight(name).detach().float()
        module = module.base_layer
    return total


def feed_forwards(model) -> list[FeedForward]:
    """The feed-forward block of every layer, in order. InputError, naming the family, for a layout that is
    not one of those above."""
    family = base_network(model).config.get_text_config().model_type
    return [_block(layer, block, family) for layer, block in enumerate(decoder(model).layers)]


def sizes(blocks) -> list[int]:
    """Neurons of every layer; tables of neurons are as wide as the widest."""
    return [block.size for block in blocks]


def mixed(blocks) -> bool:
    """Whether layers differ in their neurons, as where some are dense and some are mixtures."""
    return len({(block.size, block.experts, block.width) for block in blocks}) > 1


def traits(model) -> frozenset:
    """What may stand in a method's way: "dense" (no mixture), "fused" (gate and up of a dense layer in one
    weight), "biased", "mixed" (layers differ), "unshared" (a mixture without shared expert), "all_routed" (no
    feed-forward layer that every token reads), "counted" (the shared expert's width is no number of the
    configuration); and "eager" (transformers has one attention kernel for the family)."""
    blocks, config = feed_forwards(model), base_network(model).config.get_text_config()
    dense = [block.dense for block in blocks if block.dense]
    shared = any(block.shared for block in blocks)
    holds = {
        "dense": not any(block.experts for block in blocks),
        "fused": any(part.fused for part in dense),
        "biased": any(part.biased for part in dense),
        "mixed": mixed(blocks),
        "unshared": any(block.experts and not block.shared for block in blocks),
        "all_routed": not dense,
        "eager": families.of_network(base_network(model)).eager,
        "counted": shared and not hasattr(config, "shared_expert_intermediate_size"),
    }
    return frozenset(name for name, here in holds.items() if here)


def experts_of(blocks: list[FeedForward]) -> int:
    """Routed experts of a layer that has them; 0 in a dense network."""
    return max(block.experts for block in blocks)


def _block(layer: int, block, family: str) -> FeedForward:
    name = _first(block, BLOCKS)
    if name is None:
        raise InputError(f"{family} has no gated feed-forward block in layer {layer}", key="model_type")
    mlp = getattr(block, name)
    if not hasattr(mlp, "experts"):
        return FeedForward(layer, mlp, _width(mlp, family), name=name)
    fused = base_layer(mlp.experts)
    if not _plainly_fused(fused) or _first(mlp, ROUTERS) is None:
        kind = type(fused).__name__
        raise InputError(f"{family} holds its routed experts in another form ({kind})", key="model_type")
    width, experts = fused.down_proj.shape[2], fused.down_proj.shape[0]
    shared = _first(mlp, SHARED)
    more = _width(getattr(mlp, shared), family) if shared else 0
    return FeedForward(layer, mlp, width, experts, more, name)


def _width(mlp, family: str) -> int:
    """Neurons of a dense gated module."""
    gated = hasattr(mlp, "gate_up_proj") or (hasattr(mlp, "gate_proj") and hasattr(mlp, "up_proj"))
    if not (gated and hasattr(mlp, "down_proj")):
        kind = type(mlp).__name__
        raise InputError(f"{family} has feed-forward neurons without a gate ({kind})", key="model_type")
    return base_layer(mlp.down_proj).in_features


def _plainly_fused(experts) -> bool:
    """Whether experts are one weight [X, 2 n, H], gates above ups, and one [X, H, n], without biases."""
    shapes = [getattr(getattr(experts, name, None), "shape", ()) for name in ("gate_up_proj", "down_proj")]
    special = ("is_transposed", "has_bias", "has_post_expert_norm")
    if any(len(shape) != 3 for shape in shapes) or any(getattr(experts, name, False) for name in special):
        return False
    (_, rows, hidden), (_, outputs, width) = shapes
    return rows == 2 * width and hidden == outputs and hasattr(experts, "act_fn")
