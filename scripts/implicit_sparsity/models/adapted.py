"""What PEFT is to adapt in a network, by the names that its family has: linear layers, and bare parameters.

In a mixture of experts the routed experts are bare fused parameters that ``all-linear`` would skip in
silence, so they are named. Of some mixtures (Qwen3-MoE, OLMoE, Mixtral, DeepSeek-V3) PEFT 0.21 takes the
names of linear layers for those of experts as transformers 4 had them: ``all-linear`` then adapts routers
too, with twice the rank on gate and up, and ``gate_proj`` of a dense layer or shared expert cannot be named
at all. There the attention's layers are listed, and weights of linear feed-forward layers are bare parameters
as well.
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError

from . import ffn
from .forward import base_network, decoder


@dataclass(frozen=True)
class Targets:
    """PEFT's ``target_modules`` and ``target_parameters``."""

    modules: str | list
    parameters: list


def of(model, which: str, experts: bool = True, router: bool = False) -> Targets:
    """Of ``which``: "all" linear layers, or "mlp" (the FFN alone); of a mixture also the routed ``experts``,
    and the routers."""
    blocks = ffn.feed_forwards(model)
    linear = linear_names(blocks)
    parameters = expert_parameters(blocks, router) if experts else []
    if not _renamed(model):
        return Targets("all-linear" if which == "all" else linear, parameters)
    if quantized := [block.dense.name for block in blocks if block.dense and _quantized(block.dense.mlp)]:
        raise InputError(
            f"PEFT cannot adapt quantized feed-forward layers of this family ({quantized[0]})",
            key="models.*.quantization",
        )
    others = _other_linear_names(model, blocks) if which == "all" else []
    return Targets(others, [*parameters, *(f"{name}.weight" for name in linear)])


def linear_names(blocks) -> list[str]:
    """What the linear layers of the FFN are called in this network: gate_proj, up_proj (or gate_up_proj),
    down_proj; none in a mixture of routed experts alone."""
    fused = {block.dense.fused for block in blocks if block.dense}
    names = ["gate_proj", "up_proj"] * (False in fused) + ["gate_up_proj"] * (True in fused)
    return [*names, "down_proj"] if fused else []


def expert_parameters(blocks, router: bool = False) -> list[str]:
    """What the bare parameters of a mixture's routed experts are called; ``router``: and those of its
    routers. None in a dense network."""
    mixed = [block for block in blocks if block.experts][:1]
    parts = ["experts.gate_up_proj", "experts.down_proj"]
    return [f"{b.name}.{part}" for b in mixed for part in (*parts, *[f"{b.router_name}.weight"] * router)]


def _other_linear_names(model, blocks) -> list[str]:
    """Last parts of the names of all linear layers in the decoder that are not of the FFN's neurons."""
    inside = {id(module) for block in blocks if block.dense for module in block.dense.mlp.modules()}
    named = decoder(model).layers.named_modules()
    linear = [n for n, m in named if isinstance(ffn.base_layer(m), torch.nn.Linear) and id(m) not in inside]
    return sorted({name.removesuffix(".base_layer").rpartition(".")[2] for name in linear})


def _quantized(mlp) -> bool:
    return not ffn.base_layer(mlp.down_proj).weight.is_floating_point()


def _renamed(model) -> bool:
    """Whether PEFT takes names of this network's linear layers for others, see above."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    asked = LoraConfig(target_modules="all-linear")
    convert_peft_config_for_transformers(asked, base_network(model), None)
    return asked.target_modules != "all-linear"
