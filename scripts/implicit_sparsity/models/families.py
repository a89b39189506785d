"""The architectures that can be studied, by the ``model_type`` of the text model's configuration.

A family is here once a test has compared it with transformers' own ``forward``: its loss, its greedy answers,
its gradients and its feed-forward neurons (``tests/models/test_families.py``). Any other is refused by name,
for a layer that is not known, or a step between the head and the logits, makes wrong numbers without a word.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError


@dataclass(frozen=True)
class Transform:
    """What a model does to its head's output, with one number of its text configuration."""

    words: str
    field: str
    apply: Callable  # (head's output, number) -> logits


@dataclass(frozen=True)
class Family:
    """What an architecture needs of us."""

    logits: Transform | None = None  # None: the head's output are the logits
    traits: tuple = ("dense",)  # of its layers as published, see ``ffn.traits``; a configuration may differ
    norm: str = "norm"  # the decoder's last norm
    eager: bool = False  # whether transformers has one attention kernel for it


DIVIDED = Transform("divided by", "logits_scaling", lambda x, value: x / value)
MULTIPLIED = Transform("times", "logit_scale", lambda x, value: x * value)
SCALED = Transform("times", "logits_scaling", lambda x, value: x * value)
CAPPED = Transform("soft cap at", "final_logit_softcapping", lambda x, value: value * torch.tanh(x / value))

FUSED, ROUTED, COUNTED = ("dense", "fused"), ("unshared", "all_routed"), ("mixed", "counted")
FAMILIES = {
    "cohere": Family(MULTIPLIED),
    "cohere2": Family(MULTIPLIED),
    "cwm": Family(),
    "deepseek_v2": Family(traits=COUNTED),
    "deepseek_v3": Family(traits=COUNTED),
    "dots1": Family(traits=COUNTED),
    "ernie4_5": Family(),
    "exaone4": Family(),
    "flex_olmo": Family(traits=ROUTED),
    "gemma": Family(),
    "gemma2": Family(CAPPED, eager=True),
    "gemma3_text": Family(CAPPED),
    "glm": Family(traits=FUSED),
    "glm4": Family(traits=FUSED),
    "glm4_moe": Family(traits=COUNTED),
    "granite": Family(DIVIDED),
    "granitemoe": Family(DIVIDED, traits=ROUTED),
    "helium": Family(),
    "hunyuan_v1_dense": Family(),
    "hyperclovax": Family(SCALED),
    "llama": Family(),
    "minicpm3": Family(DIVIDED),
    "ministral": Family(),
    "ministral3": Family(),
    "mistral": Family(),
    "mixtral": Family(traits=ROUTED),
    "olmo": Family(),
    "olmo2": Family(),
    "olmo3": Family(),
    "olmoe": Family(traits=ROUTED),
    "phi3": Family(traits=FUSED),
    "qwen2": Family(),
    "qwen2_moe": Family(traits=()),
    "qwen3": Family(),
    "qwen3_5_moe_text": Family(traits=()),
    "qwen3_5_text": Family(),
    "qwen3_moe": Family(traits=ROUTED),
    "qwen3_next": Family(traits=()),
    "seed_oss": Family(),
    "smollm3": Family(),
    "stablelm": Family(),
    "vaultgemma": Family(CAPPED, eager=True),
}
# vision-language checkpoints of which transformers loads the text model alone
WRAPPERS = {"qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text"}


def of(config: dict, path=None, key: str = "model_type") -> Family:
    """The family of a configuration as ``config.json`` has it; InputError, one line, where it is not known.

    path, key: where the configuration is from, for the message.
    """
    name = config.get("model_type") if isinstance(config, dict) else None
    family = FAMILIES.get(WRAPPERS.get(name, name)) if isinstance(name, str) else None
    if family is None:
        known = ", ".join(sorted([*FAMILIES, *WRAPPERS]))
        raise InputError(
            f"{name!r} is no architecture that can be studied; known: {known}", path=path, key=key
        )
    return family


def of_network(network) -> Family:
    """The family of a transformers model at hand."""
    return of({"model_type": network.config.get_text_config().model_type})
