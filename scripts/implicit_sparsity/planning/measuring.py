"""What a measurement takes, from what its class says of its passes: work, and memory at the fullest."""

from dataclasses import replace

from implicit_sparsity.measurements.base import Training

from . import memory, trained, work


def cost(study, model: str, name: str, stage: int) -> tuple[float, float, float]:
    """(tokens, FLOPs, seconds on a GPU) of one job; ``stage``: 0 for the base model."""
    shape, length = study.shapes[model], study.length(model)
    tokens = flops = seconds = 0.0
    measurement = study.measurement(name)
    for each in measurement.passes(len(study.domains(measurement.NEEDS)), length, stage):
        if isinstance(each, Training):
            setting, fresh = _setting(study, model, each), trained.Trained(shape, rank=each.rank)
            row = each.length or length
            taken, kind = work.train_flops(shape, fresh, setting, each.tokens, each.steps, row), "train"
        else:
            passing = work.evaluation_flops if each.head else work.probe_flops
            taken, kind = passing(shape, each.tokens, length), "probe"
        tokens, flops = tokens + each.tokens, flops + taken
        if study.hardware:
            loads = 0 if kind == "train" else each.loads * study.model_bytes(model) / work.LOAD
            seconds += study.seconds(model, taken, kind) + loads
    return tokens, flops, seconds


def peak(study, model: str, name: str, adapter=None, stage: int = 0) -> dict:
    """Memory by part, in bytes, of the fullest of its passes; ``adapter``: that of a trained checkpoint."""
    measurement = study.measurement(name)
    every = measurement.passes(len(study.domains(measurement.NEEDS)), study.length(model), stage)
    return max((_parts(study, model, measurement, each, adapter, stage) for each in every), key=_total)


def _total(parts: dict) -> float:
    return parts["total"]


def _parts(study, model, measurement, each, adapter, stage) -> dict:
    shape, setting = study.shapes[model], study.settings[model]
    if isinstance(each, Training):
        own = _setting(study, model, each)
        parts = memory.train(shape, trained.Trained(shape, rank=each.rank), own)
        spared = 0.0 if each.optimizer else parts.pop("optimizer", 0.0)
        earlier = memory.loaded(adapter, own, stage)
        more = {"earlier stages": earlier} if earlier else {}
        return parts | more | {"total": parts["total"] - spared + earlier}
    positions = max(each.batch_tokens, study.config["tokens"]["max_length"])
    held = measurement.held(shape, positions, setting.e)
    return memory.passing(shape, setting, positions, each.head, held, adapter, stage)


def _setting(study, model: str, each):
    """The setting of a training pass: its own rows, on one GPU."""
    setting = study.settings[model]
    return replace(
        setting,
        batch_size=each.rows,
        max_length=each.length or setting.max_length,
        checkpointing=each.checkpointing,
        packing=False,
        gpus=1,
    )
