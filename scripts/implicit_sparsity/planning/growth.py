"""How storage, time and cost grow: the estimate with one factor doubled, and the exponent that it tells.

exponent = log2(estimate at twice the factor / estimate): 1 is in proportion, 0 is not at all.
"""

import copy
import math
from dataclasses import replace

from . import jobs, report, storage
from .costs import Study


def _tokens(config):
    config["training"]["steps"] *= 2
    config["probes"]["activations"]["tokens"] *= 2
    for name in ("documents", "choice_items", "generation_items"):
        config["evals"][name] *= 2
    for name in ("train", "probe", "select", "eval"):
        config["splits"][name] *= 2


def _domains(config):
    entries = {name: entry for name, entry in config["domains"].items() if name != config.get("reference")}
    config["domains"] |= {f"{name}_2": copy.deepcopy(entry) for name, entry in entries.items()}
    config["orders"] = {
        name: [*order, *(f"{domain}_2" for domain in order)] for name, order in config["orders"].items()
    }


def _methods(config):
    config["methods"] |= {
        f"{name}_2": {"uses": entry.get("uses", name)} | copy.deepcopy(entry)
        for name, entry in config["methods"].items()
    }


def layers(shape):
    """Twice the depth."""
    weights = tuple(replace(w, count=2 * w.count) for w in shape.weights)
    fixed = ("embedding", "head")
    parts = {part: count * (1 if part in fixed else 2) for part, count in shape.parts.items()}
    return replace(shape, kinds=shape.kinds * 2, sizes=shape.sizes * 2, weights=weights, parts=parts)


def width(shape):
    """Twice the residual stream, the neurons of a dense layer or an expert, and the heads of every mixer."""

    def wider(weight):
        few = weight.name == "shared_expert_gate"
        return replace(weight, inputs=2 * weight.inputs, outputs=weight.outputs * (1 if few else 2))

    linear = ("embedding", "head", "router", "norms")
    names = ("hidden", "ffn", "expert_ffn", "shared", "heads", "kv_heads", "key_heads", "value_heads")
    return replace(
        shape,
        **{name: 2 * getattr(shape, name) for name in names},
        sizes=tuple(2 * size for size in shape.sizes),
        parts={part: count * (2 if part in linear else 4) for part, count in shape.parts.items()},
        weights=tuple(map(wider, shape.weights)),
    )


FACTORS = {"tokens": _tokens, "layers": layers, "width": width, "domains": _domains, "methods": _methods}


def doubled(study: Study, factor: str) -> Study:
    """The study with one factor doubled."""
    config, shapes = copy.deepcopy(study.config), dict(study.shapes)
    if factor in ("layers", "width"):
        shapes = {name: FACTORS[factor](shape) for name, shape in shapes.items()}
    else:
        FACTORS[factor](config)
    return Study(config, shapes, study.measured, study.lengths, study.fast)


def planned(study: Study, learners) -> list:
    """The jobs with a model of this study, as its config has them."""
    config = study.config

    def names(which):
        return [
            f"{method}.{order}.seed{seed}.stage{stage}"
            for method in config["methods"]
            for order, domains in config["orders"].items()
            for seed in config["seeds"]
            for stage in (
                range(1, len(domains) + 1) if which == "all" else [len(domains)] if which == "final" else []
            )
        ]

    which = config["probes"]["activations"]["stages"]
    kinds = {
        model: {
            "trained": names("all") if model in learners else [],
            "measured": {"activations": ["base", *(names(which) if model in learners else [])]},
        }
        for model in study.shapes
    }
    return jobs.planned(kinds, list(config["domains"]), config.get("reference"))


def totals(study: Study, learners) -> dict:
    """FLOPs of all jobs, GPU hours (nought without ``hardware``) and bytes on disk."""
    all_jobs = planned(study, learners)
    costs = [study.cost(job) for job in all_jobs]
    return {
        "FLOPs": sum(cost.flops for cost in costs),
        "GPU hours": sum(cost.gpu * cost.seconds for cost in costs) / 3600,
        "storage": sum(storage.rooms(study, all_jobs).values()),
    }


def exponents(study: Study, learners) -> dict:
    """{factor: {quantity: exponent}}; quantities that are nought are left out."""
    start = totals(study, learners)
    result = {}
    for factor in FACTORS:
        more = totals(doubled(study, factor), learners)
        result[factor] = {name: math.log2(more[name] / value) for name, value in start.items() if value}
    return result


def text(study: Study, everything: list) -> str:
    """A table of the exponents. Cost goes with GPU hours."""
    learners = {job.wildcards["model"] for job in everything if job.rule == "train_adapter"}
    powers = exponents(study, learners)
    head = list(next(iter(powers.values())))
    rows = [(factor, *(f"{values[name]:.2f}" for name in head)) for factor, values in powers.items()]
    title = "What doubles: exponent of growth (1: in proportion; cost goes with GPU hours)"
    return f"## Growth\n\n{report.table((title, *head), rows, right=range(1, len(head) + 1))}"
