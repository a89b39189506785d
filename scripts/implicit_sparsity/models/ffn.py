"""Where a network's feed-forward neurons are, in dense layers and in mixtures of experts, under one
numbering.

A neuron of a SwiGLU layer is a row of ``gate`` and of ``up`` and a column of ``down``. In a mixture of
experts the neurons of a layer are numbered expert by expert, and the shared expert's come last:

    dense:    0 .. width - 1
    mixture:  expert * width + unit; of the shared expert experts * width + unit

Shapes: N neurons of the layer, K chosen ones, H hidden width.
"""

from dataclasses import dataclass

import torch

from .forward import decoder, plain_weight


@dataclass(frozen=True)
class FeedForward:
    """The feed-forward block of one layer."""

    layer: int
    mlp: object  # the torch module
    width: int  # neurons of the dense layer, or of one routed expert
    experts: int = 0  # routed experts; 0 in a dense layer
    shared: int = 0  # neurons of the shared expert

    @property
    def size(self) -> int:
        """Neurons of the layer, N."""
        return self.experts * self.width + self.shared if self.experts else self.width

    def parts(self):
        """(first neuron, last neuron + 1, gate [n, H], up [n, H], down [H, n]) of each expert: views of
        weights."""
        if not self.experts:
            yield (0, self.width, *_dense(self.mlp))
            return
        fused = base_layer(self.mlp.experts)
        for expert in range(self.experts):
            first, gate_up = expert * self.width, fused.gate_up_proj[expert]
            yield (
                first,
                first + self.width,
                gate_up[: self.width],
                gate_up[self.width :],
                fused.down_proj[expert],
            )
        yield (self.size - self.shared, self.size, *_dense(self.mlp.shared_expert))

    def down_norms(self):
        """||W_down[:, i]||_2 of every neuron, float64 [N]: what one unit of activation writes, adapters
        included."""
        if not self.experts:
            return _column_norms(effective_weight(self.mlp.down_proj))
        routed = effective_weight(self.mlp.experts, "down_proj")  # [X, H, n]
        norms = [_column_norms(down) for down in routed]
        return torch.cat([*norms, _column_norms(effective_weight(self.mlp.shared_expert.down_proj))])


def _column_norms(weight):
    return weight.double().square().sum(0).sqrt()  # a third of the time of ``norm(dim=0)``


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


def _dense(mlp):
    return tuple(base_layer(getattr(mlp, name)).weight for name in ("gate_proj", "up_proj", "down_proj"))


def feed_forwards(model) -> list[FeedForward]:
    """The feed-forward block of every layer, in order."""
    result = []
    for layer, block in enumerate(decoder(model).layers):
        mlp = block.mlp
        if hasattr(mlp, "experts"):
            fused = base_layer(mlp.experts)
            shared = base_layer(mlp.shared_expert.down_proj).in_features
            width, experts = fused.down_proj.shape[2], fused.down_proj.shape[0]
            result.append(FeedForward(layer, mlp, width, experts, shared))
        else:
            result.append(FeedForward(layer, mlp, base_layer(mlp.down_proj).in_features))
    return result
