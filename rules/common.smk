"""The study, path patterns, constraints, and what inputs and params of several files call.

Needs: config files. Makes: a checked config, or one line on stderr and exit status 1; no files. What is a function of
the config alone is in scripts/implicit_sparsity/workflow/, with its tests.
"""

import os
import shutil
from functools import cache, partial

from implicit_sparsity.workflow import fingerprints, source
from implicit_sparsity.workflow.config.load import load
from implicit_sparsity.workflow.config.options import MEASUREMENTS
from implicit_sparsity.workflow.tables import figure_style

BELOW = [] if workflow.config_settings.replace_workflow_config else ["config.yaml"]
study = one_line(load)([*BELOW, *map(str, workflow.overwrite_configfiles)], workflow.config_settings.config)
config.clear()
config.update(study.config)

MODELS, DOMAINS, TABLES, FIGURES = study.models, study.domains, study.tables, list(config["figures"])
PROBES = [name for name in config["probes"] if name not in MEASUREMENTS]
PROBED = study.probed_methods
stages, checkpoints, probed = study.stages, study.checkpoints, study.probed

SOURCE = "results/corpora/{domain}/sources/{source}.jsonl"
SPLITS = "results/corpora/{domain}/splits"
MODEL = "results/models/{model}"
TOKENS = "results/tokens/{model}/{domain}"
STORE = "results/activations/{model}/{checkpoint}/{domain}.zarr"
GRADIENTS = "results/gradients/{model}/{checkpoint}/{domain}.zarr"
THRESHOLDS = "results/thresholds/{model}/{checkpoint}/{domain}.zarr"
DRIFT = "results/drift/{model}/{checkpoint}.zarr"
TASK = "results/plasticity_task/{model}/{checkpoint}.zarr"
SPECTRA = "results/input_spectra/{model}.zarr"
CONTROL = "results/activations/{model}/base/{domain}.{control}.zarr"
ADAPTER = "results/adapters/{model}/{method}.{order}.seed{seed}.stage{stage}"
EVAL = "results/evals/{model}/{checkpoint}/{domain}.json"
TABLE = "results/tables/{probe}.csv"
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
def code(script, room=None, name=None):
    """Fingerprint of a job's own code: its script, all that imports, and the module it loads by name.

    Remembered: hundreds of jobs share one, and reading the library for each took half of a dry run.
    """
    loaded = [source.module_name(room, name)] if room else []
    return fingerprints.fingerprint(script, *loaded)


def measured(measurement, pattern, **wildcards):
    """Paths of a measurement, of all models at the checkpoints that `probes.<measurement>.stages` names."""
    return [
        path
        for model in MODELS
        for checkpoint in probed(model, measurement)
        for path in expand(pattern, model=model, checkpoint=checkpoint, **wildcards)
    ]


def needed(wildcards):
    """What a probe reads, by the argument of probe_table."""
    needs = source.class_literal(source.module_name("probes", wildcards.probe), "NEEDS")
    return {"stores" if need == "activations" else need: READABLE[need]() for need in needs}


def calibrating_stores(wildcards):
    """Activations of all domains at the checkpoint, or at the base model where it has none."""
    name = wildcards.checkpoint if wildcards.checkpoint in MEASURED[wildcards.model] else "base"
    return expand(STORE, model=wildcards.model, checkpoint=name, domain=DOMAINS)


def stage_before(wildcards):
    """The stage before a trained checkpoint's; none before the first."""
    run, stage = wildcards.checkpoint.rsplit(".stage", 1)
    before = int(stage) - 1
    return f"results/adapters/{wildcards.model}/{run}.stage{before}" if before else []


def shown(path, caption, category, **labels):
    """An output with its place in the report, under the caption of rules/captions/."""
    return report(path, caption=f"captions/{caption}.rst", category=category, labels=labels)


def table(name):
    """A table of results/tables/ with its place in the report."""
    return shown(f"results/tables/{name}.csv", "table", "Tables", table=name)


onsuccess:
    shutil.rmtree(
        "results/.output_cache", ignore_errors=True
    )  # of groups that failed on the way, see output_cache.py
