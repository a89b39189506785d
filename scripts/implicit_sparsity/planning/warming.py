"""What the format warm-up of a model takes: a LoRA on its linear layers, short documents, one GPU."""

from dataclasses import replace

from implicit_sparsity.workflow import source

from . import memory, trained, work

TRAINER = "implicit_sparsity.updates.format_warmup"
LENGTH = 64  # tokens of a neutral document in a template, at most; about 40 in the mean (measured, SmolLM2)


def budget(study):
    """{steps, documents}; None where there is no warm-up."""
    return study.config["training"].get("format_warmup") or None


def cost(study, model: str) -> tuple[float, float, float]:
    """(tokens, FLOPs, seconds on a GPU) of one job; its weights are written as well."""
    shape, setting = study.shapes[model], _setting(study, model)
    steps = budget(study)["steps"]
    tokens = steps * setting.step_tokens
    flops = work.train_flops(shape, _lora(shape), setting, tokens, steps, setting.max_length)
    if not study.hardware:
        return tokens, flops, 0.0
    return tokens, flops, study.seconds(model, flops, "train") + 2 * study.model_bytes(model) / work.LOAD


def peak(study, model: str) -> dict:
    """Memory by part, in bytes."""
    shape = study.shapes[model]
    return memory.train(shape, _lora(shape), _setting(study, model))


def _lora(shape):
    return trained.Trained(shape, rank=source.class_literal(TRAINER, "RANK"), linear=True)


def _setting(study, model: str):
    rows, length = source.class_literal(TRAINER, "ROWS"), min(LENGTH, study.config["tokens"]["max_length"])
    changed = {"batch_size": rows, "max_length": length, "checkpointing": False, "packing": False, "gpus": 1}
    return replace(study.settings[model], **changed)
