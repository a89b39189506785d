"""Adapters on a network, and a network as a trained stage left it: the room that puts PEFT's layers on.

PEFT is imported where it is used: that takes four seconds, which a job on a base model alone does without.
"""

import logging
from pathlib import Path

import torch

from implicit_sparsity.errors import InputError

from . import adapted, ffn, loading

log = logging.getLogger(__name__)

EARLIER = "earlier"  # PEFT's name of what earlier stages learnt, where it stays beside the weights


def load_checkpoint(folder, adapter=None, base: dict | None = None):
    """The network of a model folder as a trained stage left it; the base model where ``adapter`` is None.

    ``adapter`` is a stage's folder: an adapter, or a whole model where no adapter could hold what was
    trained.
    """
    if adapter and is_whole(adapter):
        return loading.load(adapter, **loading.settings(base or {}))
    model = loading.load(folder, **loading.settings(base or {}))
    return with_adapter(model, adapter) if adapter else model


def is_whole(folder) -> bool:
    """Whether a stage's folder holds a whole model, not an adapter."""
    return (Path(folder) / "config.json").is_file()


def lora_config(rank: int, alpha: float, wanted: adapted.Targets, dropout: float = 0.0, **more):
    """PEFT's LoRA settings."""
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0 if wanted.parameters else dropout,  # PEFT has no dropout on bare parameters
        target_modules=wanted.modules,
        target_parameters=wanted.parameters or None,
        **more,
    )


def is_mixture(model) -> bool:
    return bool(ffn.experts_of(ffn.feed_forwards(model)))


def add_lora(model, rank: int, alpha: float, targets: str = "all", router: bool = False, **more):
    """The model with a new, trainable LoRA: a PeftModel. An earlier stage's (``with_adapter``) stays on,
    frozen. ``targets``: "all" linear layers, or "mlp" (the FFN alone); of a mixture its routed experts too,
    and its routers where they are asked for."""
    return _with_lora(model, lora_config(rank, alpha, adapted.of(model, targets, router=router), **more))


def _with_lora(model, config):
    from peft import get_peft_model

    if not hasattr(model, "peft_config"):
        return get_peft_model(model, config)
    model.add_adapter("default", config)
    model.base_model.set_adapter(["default", EARLIER])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".default." in name)
    return model


def add_linear_lora(model, rank: int, alpha: float, targets: str = "mlp", **more):
    """As ``add_lora``, on linear layers alone: a mixture's fused experts and routers stay frozen, and the log
    says so."""
    _say_what_stays(model)
    return _with_lora(model, lora_config(rank, alpha, adapted.of(model, targets, experts=False), **more))


def add_osf(model, share: float, targets: str = "all"):
    """The model with PEFT's OSF on its linear layers, of whose singular directions ``share`` stays: a
    PeftModel. Layers that are too small for two halves stay as they are, and the log says so."""
    from peft import OSFConfig, TaskType, get_peft_model

    _say_what_stays(model)
    fit, small, head = [], [], model.get_output_embeddings()
    names = adapted.linear_names(ffn.feed_forwards(model))
    for name, module in model.named_modules():
        chosen = targets == "all" or name.rpartition(".")[2] in names
        if isinstance(module, torch.nn.Linear) and module is not head and chosen:
            (fit if int(share * min(module.weight.shape)) else small).append(name)
    if small:
        log.warning("OSF leaves %d layers too small to part alone, the first is %s", len(small), small[0])
    if not fit:
        raise InputError(
            f"a share of {share:g} keeps no direction of any layer: raise keep", key="methods.osf"
        )
    config = OSFConfig(task_type=TaskType.CAUSAL_LM, effective_rank=float(share), target_modules=fit)
    return get_peft_model(model, config)


def osf_layers(model) -> dict:
    """PEFT's OSF layers by the name of the linear layer."""
    from peft.tuners.osf import OSFLayer

    named = model.get_base_model().named_modules()
    return {name: module for name, module in named if isinstance(module, OSFLayer)}


def _say_what_stays(model) -> None:
    if experts := adapted.expert_parameters(ffn.feed_forwards(model)):
        log.warning("routed experts (%s) and routers are no linear layers: frozen", ", ".join(experts))


def add_adapter(model, folder, trainable: bool = False, name: str = "default"):
    """The model with an adapter folder on it: a PeftModel."""
    from peft import PeftModel

    if not (Path(folder) / "adapter_config.json").is_file():
        raise InputError("is not an adapter folder: it has no adapter_config.json", path=folder)
    return PeftModel.from_pretrained(model, str(folder), adapter_name=name, is_trainable=trainable)


def with_adapter(model, folder):
    """The model computing with an adapter folder, nothing trainable.

    In float32 it is added into the weights: faster, and only rounding is lost. bfloat16 has 8 bits, and a
    small update added to a large weight would be rounded away, so there (and on quantized weights) it stays
    beside.
    """
    exact = all(p.dtype == torch.float32 for p in model.parameters())
    wrapped = add_adapter(model, folder, name=EARLIER)
    return (wrapped.merge_and_unload() if exact else wrapped).requires_grad_(False).eval()
