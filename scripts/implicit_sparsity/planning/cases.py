"""What runs on a card, and what memory it takes there: every rule at its fullest stage, every method."""

from dataclasses import replace

from . import memory, trained


def cases(study, model: str, trained_with=None) -> dict:
    """{(rule, method or ""): memory by part} of what the study asks of one model.

    ``trained_with``: names of the methods that it is trained with, all where it is None.
    """
    shape, setting, probes = study.shapes[model], study.settings[model], study.config["probes"]
    last = max((len(order) for order in study.config["orders"].values()), default=0)
    result = {}
    measured = last if probes["activations"]["stages"] != "base" else 0
    methods = {name: method for (owner, name), method in study.methods.items() if owner == model}
    result["measure_activations", ""] = memory.probe(shape, setting)
    result["evaluate_checkpoint", ""] = memory.evaluate(shape, setting)
    for section, (rule, of) in MEASURED.items():
        if section in probes:
            result[rule, ""] = of(study, model, probes[section])
    for name, method in methods.items() if last else ():
        if trained_with is not None and name not in trained_with:
            continue
        result["train_adapter", name] = memory.train(shape, method, setting, last)
        result["evaluate_checkpoint", name] = memory.evaluate(shape, setting, method, last)
        if measured:
            result["measure_activations", name] = memory.probe(shape, setting, method, last)
    return result


def _gradients(study, model: str, options: dict) -> dict:
    """Gradients of one document: a training step without an optimizer."""
    shape = study.shapes[model]
    setting = memory.of_gradients(study.settings[model], study.config)
    parts = memory.train(shape, trained.Trained(shape, rank=options["rank"]), setting)
    spared = parts.pop("optimizer", 0.0)
    return parts | {"total": parts["total"] - spared}


def _plasticity_task(study, model: str, options: dict) -> dict:
    """A fresh LoRA's training step on all pairs of one task."""
    shape, again = study.shapes[model], options.get("gradient_checkpointing", False)
    length = options["prompt"] + options["completion"]
    setting = replace(
        study.settings[model], batch_size=options["pairs"], max_length=length, checkpointing=again, gpus=1
    )
    return memory.train(shape, trained.Trained(shape, rank=options["rank"]), setting)


def _passing(study, model: str, options: dict) -> dict:
    """A pass over documents in batches of its own, without generation."""
    tokens = max(options["batch_tokens"], study.config["tokens"]["max_length"])
    return memory.evaluate(
        study.shapes[model], replace(study.settings[model], eval_tokens=tokens, generated=0)
    )


def _input_spectra(study, model: str, options: dict) -> dict:
    """A pass that keeps a matrix of every group of documents, in float64, and makes one more in float32."""
    shape = study.shapes[model]
    widths = [shape.hidden, *([shape.ffn] if options.get("down") and not shape.experts else [])]
    retained = 8.0 * options["groups"] * options["layers"] * sum(width**2 for width in widths)
    parts = _passing(study, model, options)
    moments = retained + 4.0 * max(widths) ** 2
    return parts | {"moments": moments, "total": parts["total"] + moments}


MEASURED = {
    "gradients": ("measure_gradients", _gradients),
    "thresholds": ("measure_thresholds", _passing),
    "drift": ("measure_drift", _passing),
    "plasticity_task": ("measure_plasticity", _plasticity_task),
    "input_spectra": ("measure_capacity", _input_spectra),
}
