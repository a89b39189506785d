"""The plan of a study: memory of all that runs on a GPU, hours, cost and storage, a dict a model."""

from pathlib import Path

from implicit_sparsity.models import families, sources
from implicit_sparsity.storage.files import read_json
from implicit_sparsity.storage.model_folder import check_config
from implicit_sparsity.workflow.config.folders import check_lengths

from . import cases, jobs, kernels, measured, shapes, storage, warming
from .costs import Study
from .gpus import UTILISATION


def configuration(name: str, base: dict, prepared) -> dict:
    """The configuration of a config's model: of the folder it was made into, else from its source.

    A hub model's config.json alone is fetched, at its pinned commit, into the hub's cache.
    """
    folder = Path(prepared) / name
    if base["source"] != "scratch" and (folder / "config.json").is_file():
        return read_json(folder / "config.json")
    if base["source"] == "path":
        return read_json(Path(base["path"]) / "config.json")
    if base["source"] == "hub":
        from implicit_sparsity.storage.hub import Repository

        path = Repository(base["repo"], base["revision"], at=f"models.{name}.").cached("config.json")
        return read_json(path)
    if base["source"] == "package":
        return shapes.of_gguf(base["package"], base["file"])
    return {"vocab_size": base["vocabulary"]} | base["config"]


def _known(name: str, config: dict, prepared) -> dict:
    """The configuration of a model that can be studied, and is long enough for the study; InputError."""
    base = config["models"][name]
    settings = configuration(name, base, prepared)
    families.of(settings, key=f"models.{name}: model_type")
    if base["source"] in ("hub", "path"):
        check_config(sources.as_given("", name, base), settings)
    check_lengths(name, settings, config)
    return settings


def study_of(config: dict, results="results", benchmarks="benchmarks/results") -> tuple[Study, dict]:
    """(the study with the shapes of its models, notes: where its rates are from, warnings)."""
    models = {
        name: shapes.of_config(_known(name, config, Path(results) / "models")) for name in config["models"]
    }
    hardware = config.get("hardware") or {}
    warning = kernels.check(models, hardware.get("require_fast_kernels", False)) if hardware else ""
    rates, files = measured.utilisation(benchmarks, models, hardware["card"]) if hardware else ({}, [])
    study = Study(
        config, models, rates, measured.lengths(Path(results) / "tokens", models), fast=not kernels.missing()
    )
    return study, {"warning": warning, "measured": files}


def methods_of(checkpoints: dict) -> set:
    """Names of the methods that a model is trained with, from those of its checkpoints."""
    return {name.split(".")[0] for name in checkpoints["trained"]}


def of_model(study: Study, model: str, checkpoints: dict, notes: dict) -> dict:
    """What results/plan/<model>.json holds; bytes, tokens, FLOPs, seconds, hours."""
    shape = study.shapes[model]
    domains, warm = list(study.config["domains"]), bool(warming.budget(study))
    planned = jobs.planned({model: checkpoints}, domains, study.config.get("reference"), warm)
    rules: dict = {}
    for job in planned:
        cost, row = (
            study.cost(job),
            rules.setdefault(job.kind, dict.fromkeys(("jobs", "tokens", "flops", "hours"), 0)),
        )
        row["jobs"] += 1
        row["tokens"] += cost.tokens
        row["flops"] += cost.flops
        row["hours"] += cost.gpu * cost.seconds / 3600
    names = methods_of(checkpoints)
    trained_with = [name for owner, name in study.methods if owner == model and name in names]
    memory = {
        " ".join(part for part in case if part): parts
        for case, parts in cases.cases(study, model, trained_with).items()
    }
    hours = sum(row["hours"] for row in rules.values())
    price = study.hardware.get("price_per_hour", 0)
    return {
        "model": model,
        "parameters": {
            "parts": {part: count for part, count in shape.parts.items() if count},
            "total": shape.total,
            "active": shape.active_total,
        },
        "trainable": {name: study.methods[model, name].parameters for name in trained_with},
        "memory": memory,
        "rules": rules,
        "hours": hours,
        "cost": hours * price,
        "storage": storage.rooms(Study(study.config, {model: shape}, lengths=study.lengths), planned),
        "assumed": _assumed(study, model),
        "budget": budget(study, model, memory, rules, hours),
        **notes,
    }


def _assumed(study: Study, model: str) -> dict:
    """What the hours rest on."""
    known = {what: (model, what) in study.measured for what in UTILISATION}
    return {
        "tokens_per_document": study.length(model),
        "tokens_counted": model in study.lengths,
        "utilisation": {what: study.utilisation(model, what) for what in UTILISATION},
        "utilisation_measured": known,
        "fast_kernels": study.fast,
    }


def budget(study: Study, model: str, memory: dict, rules: dict, hours: float) -> list[dict]:
    """The user's own ranges beside the estimate: [{what, low, high, estimate, inside}]."""
    ranges = study.hardware.get("budget", {}).get(model, {})
    domains = max(1, len(study.domains()))
    trained = max(1, len({domain for order in study.config["orders"].values() for domain in order}))
    price = study.hardware.get("price_per_hour", 0)
    training = [parts["total"] for case, parts in memory.items() if "evaluate" not in case]
    estimates = {
        "memory_gb": max(training) / 1e9,
        "probe_domain_hours": rules.get("activations", {}).get("hours", 0) / domains,
        "train_domain_hours": rules.get("train_adapter", {}).get("hours", 0) / trained,
        "total_hours": hours,
        "total_cost": hours * price,
    }
    return [
        {"what": what, "low": low, "high": high, "estimate": estimates[what]}
        | {
            "inside": "inside"
            if low <= estimates[what] <= high
            else "below"
            if estimates[what] < low
            else "above"
        }
        for what, (low, high) in ranges.items()
    ]
