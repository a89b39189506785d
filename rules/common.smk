"""Path patterns, constraints, and what inputs and params of several files call.

Needs: the study, which the Snakefile reads. Makes: no file. What depends on it alone is in workflow/study.py.
"""

import os
import shutil
from functools import cache, partial

from implicit_sparsity.workflow import fingerprints, source
from implicit_sparsity.workflow.config.files import read_command_line
from implicit_sparsity.workflow.config.options import MEASUREMENTS
from implicit_sparsity.workflow.tables import figure_style

if study.left_out and workflow.is_main_process:
    names = ", ".join(name.replace("_", " ") for name in study.left_out)
    logger.info(f"Figures left out, as no order has two domains: {names}")

RUN = {  # by which another Snakemake is asked about the same study
    "config": read_command_line(workflow.config_settings.config_args)[0],
    "configfiles": [os.path.relpath(file) for file in workflow.overwrite_configfiles],
}
config.clear()
config.update(study.config)

MODELS, DOMAINS, TABLES, FIGURES = study.models, study.domains, study.tables, list(config["figures"])
# all domains but the reference set, which is scored, and of which drift is measured
COMPARED = study.compared
PROBES = [name for name in config["probes"] if name not in MEASUREMENTS]
CONTROLS = config["probes"]["activations"]["controls"]

SOURCE = "results/corpora/{domain}/sources/{source}.jsonl"
SPLITS = "results/corpora/{domain}/splits"
PREPARED = "results/models/{model}"
# the model that is measured and trained: row 0 of all
MODEL = "results/models/format_warmup/{model}" if study.format_warmup else PREPARED
TOKENS = "results/tokens/{model}/{domain}"
STORES = {  # of a measurement, by its SCOPE
    "domain": "results/{measurement}/{model}/{checkpoint}/{domain}.zarr",
    "checkpoint": "results/{measurement}/{model}/{checkpoint}.zarr",
}
CONTROL = "results/activations/{model}/base/{domain}.{control}.zarr"
ADAPTER = "results/adapters/{model}/{method}.{order}.seed{seed}.stage{stage}"
EVAL = "results/evals/{model}/{checkpoint}/{domain}.json"
FIGURE = "results/figures/{figure}"
PLAN = "results/plan/{model}.json"

NAME = "[a-z][a-z0-9_]*"
TRAINED = rf"{NAME}\.{NAME}\.seed\d+\.stage\d+"


wildcard_constraints:
    model=NAME,
    domain=NAME,
    source=NAME,
    method=NAME,
    order=NAME,
    seed=r"\d+",
    stage=r"\d+",
    checkpoint=rf"base|{TRAINED}",
    control=NAME,
    probe="|".join(PROBES) or "none",
    figure=NAME,


def entry(section, wildcard):
    """A param: the entry of a section that a wildcard names. Snakemake's own `lookup` takes a fifth of a long dry run."""
    return lambda wildcards: config[section][wildcards[wildcard]]


def adapter_of(wildcards):
    """The adapter of a checkpoint; none for the base model."""
    base = wildcards.checkpoint == "base"
    return [] if base else f"results/adapters/{wildcards.model}/{wildcards.checkpoint}"


@cache
def code(script, room=None, *names):
    """Fingerprint of a job's own code: its script, all that imports, and the modules it loads by name.

    Remembered: hundreds of jobs share one, and reading the library for each took half of a dry run.
    """
    return fingerprints.fingerprint(script, *(source.module_name(room, name) for name in names))


def sources_of(*domains):
    """Files of all sources of the domains."""
    return [
        file
        for name in domains
        for file in expand(SOURCE, domain=name, source=config["domains"][name]["sources"])
    ]


def stores(measurement, **at):
    """Paths of a measurement's stores; `at`: a model, a checkpoint and, where its scope has them, domains, or lists."""
    scope = study.measures[measurement].scope
    domains = {"domain": study.domains_measured(measurement)} if scope == "domain" else {}
    return expand(STORES[scope], measurement=measurement, **domains | at)


def readable(need):
    """Paths of what a probe may name in NEEDS, of all models and checkpoints."""
    measurement = need.removesuffix("_base")
    if measurement in study.measures:
        return [
            path
            for model in MODELS
            for checkpoint in study.probed(model, measurement)
            if checkpoint == "base" or need == measurement
            for path in stores(measurement, model=model, checkpoint=checkpoint)
        ]
    if need == "adapters":
        trained = {model: study.stages(model, methods=study.probed_methods) for model in MODELS}
        return [f"results/adapters/{model}/{name}" for model in MODELS for name in trained[model]]
    pattern = {"controls": CONTROL, "models": MODEL}[need]
    return expand(pattern, model=MODELS, control=CONTROLS, domain=COMPARED)


def measured_from(wildcards):
    """What a measurement reads beside the base model: tokens, the adapter, and what its NEEDS names."""
    model, checkpoint = wildcards.model, wildcards.checkpoint
    needs = study.measures[wildcards.measurement].needs
    domains = study.domains_measured(wildcards.measurement, wildcards.get("domain"))
    inputs = {"adapter": adapter_of(wildcards), "tokens": expand(TOKENS, model=model, domain=domains)}
    if "previous" in needs:  # none before the first stage, and none of the base model
        run, _, stage = checkpoint.rpartition(".stage")
        inputs["previous"] = (
            f"results/adapters/{model}/{run}.stage{int(stage) - 1}" if int(stage or 1) > 1 else []
        )
    if "earlier" in needs:
        run, _, stage = checkpoint.rpartition(".stage")
        stages = range(1, int(stage)) if run else ()  # the base model has none
        inputs["earlier"] = [f"results/adapters/{model}/{run}.stage{number}" for number in stages]
    for need in needs:
        if need in study.measures:  # at the checkpoint, or at the base model where it has none
            at = checkpoint if checkpoint in study.probed(model, need) else "base"
            inputs[need] = stores(need, model=model, checkpoint=at)
    return inputs


def shown(path, caption, category, **labels):
    """An output with its place in the report, under the caption of rules/captions/."""
    return report(path, caption=f"captions/{caption}.rst", category=category, labels=labels)


def table(name):
    """A table of results/tables/ with its place in the report."""
    return shown(f"results/tables/{name}.csv", "table", "Tables", table=name)


onsuccess:
    # of groups that failed on the way, see workflow/output_cache.py
    shutil.rmtree("results/.output_cache", ignore_errors=True)
