"""Path patterns, constraints, lists of what is studied, and the functions that inputs and params call.

Needs: a checked config. Makes: no files. Functions stand here, in the order of the files that use them.
"""

import glob
import shutil
from functools import cache

from snakemake.settings.types import RerunTrigger

# Snakemake's own code trigger goes by the mtime of a script and knows no imported module: it reruns for a comment or
# a fresh clone, and not for a change of the library. Every job has the fingerprint of its code as a param instead.
# There is no directive for it, and a default profile would be one more folder: so the default is narrowed here.
type(workflow).rerun_triggers = property(lambda self: narrowed(self.dag_settings.rerun_triggers))

TABLES = made_tables()
DOMAINS = list(config["domains"])
MODELS = list(config["models"])
# The key is taken out here: whether a model is trained later says nothing about how it is made, measured or scored.
LEARNERS = [name for name in MODELS if config["models"][name].pop("trained", True)]
FIGURES = list(config["figures"])
PROBES = [name for name in config["probes"] if name not in MEASUREMENTS]

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


def narrowed(triggers):
    """All triggers but code; a choice made on the command line or in a profile stays as it is."""
    return triggers - {RerunTrigger.CODE} if triggers == RerunTrigger.all() else triggers


def stages(model, which="all", methods=None):
    """Trained checkpoints of a model as method.order.seedN.stageN: every stage of every run, or only the final ones."""
    return [
        f"{method}.{order}.seed{seed}.stage{stage}"
        for method in config["methods"]
        if model in LEARNERS and model in TRAINED_ON[method] and (methods is None or method in methods)
        for order, domains in config["orders"].items()
        for seed in config["seeds"]
        for stage in (range(1, len(domains) + 1) if which == "all" else [len(domains)])
    ]


def checkpoints(model, which="all", methods=None):
    """What there is of a model: base, and the trained checkpoints unless `which` is "base" or it is not trained."""
    return ["base", *(stages(model, which, methods) if which != "base" else [])]


def probed(model, measurement):
    """Checkpoints of a model that a measurement takes; of the drift, which is against base, the trained ones."""
    found = checkpoints(model, config["probes"][measurement]["stages"], PROBED)
    return found[1:] if measurement == "drift" else found


def entry(section, wildcard):
    """A param: the entry of a section that a wildcard names. Snakemake's own `lookup` takes a fifth of a long dry run."""
    return lambda wildcards: config[section][wildcards[wildcard]]


def adapter_of(wildcards):
    """The adapter of a checkpoint; none for the base model."""
    base = wildcards.checkpoint == "base"
    return [] if base else f"results/adapters/{wildcards.model}/{wildcards.checkpoint}"


def exported(wildcards):
    """The same of a checkpoint that a user named: one that the study does not have is refused."""
    model, checkpoint = wildcards.model, wildcards.checkpoint
    known = checkpoints(model) if model in MODELS else MODELS
    name = checkpoint if model in MODELS else model
    if name not in known:
        listed = ", ".join(known[:4]) + (f" and {len(known) - 4} more" if len(known) > 4 else "")
        raise SystemExit(
            f"results/exports/{model}/{checkpoint}: found {name!r}, allowed: {listed}"
            + source.nearest(name, known)
        )
    return adapter_of(wildcards)


@cache
def code(script, room=None, name=None):
    """Fingerprint of a job's own code: its script, all that imports, and the module it loads by name.

    Remembered: hundreds of jobs share one, and reading the library for each took half of a dry run.
    """
    loaded = [source.module_name(room, name)] if room else []
    return fingerprints.fingerprint(script, *loaded)


def source_options(wildcards):
    """What the config says about one source, its loader spelled out, and the seed of the draw."""
    source = config["domains"][wildcards.domain]["sources"][wildcards.source]
    return {"loader": wildcards.source, "seed": config["splits"]["seed"], **source}


def source_code(wildcards):
    """The loader is found by name, so it is named here."""
    return code("collect_source.py", "corpora.sources", source_options(wildcards)["loader"])


def from_hub():
    """A pattern for the wildcard `model` of models that a hub has; one that nothing matches where there are none."""
    return "|".join(name for name in MODELS if config["models"][name]["source"] == "hub") or "(?!)"


def sources_from_hub():
    """The same for the wildcard `source`; a name may stand for two things in two domains, so its folder counts."""
    found = [
        f"(?<=/{domain}/sources/){name}"
        for domain, entry in config["domains"].items()
        for name, source in entry["sources"].items()
        if source.get("loader", name) == "hub"
    ]
    return "|".join(found) or "(?!)"


def source_files(wildcards):
    """A local file is an input like any other; packages and hub data sets are not files of ours."""
    return config["domains"][wildcards.domain]["sources"][wildcards.source].get("path", [])


def training_splits(wildcards):
    """Only a model from scratch reads documents."""
    scratch = config["models"][wildcards.model]["source"] == "scratch"
    return expand(SPLITS, domain=DOMAINS) if scratch else []


def weights_on_disk(wildcards):
    """Files of a model given by path, so that a change to them is seen."""
    model = config["models"][wildcards.model]
    patterns = ("config.json", "tokenizer*.json", "*.safetensors")
    folders = [glob.escape(model["path"])] if model["source"] == "path" else []
    return sorted(file for folder in folders for p in patterns for file in glob.glob(f"{folder}/{p}"))


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


def trained_domains(wildcards):
    """Domains up to and with this stage: a longer order does not touch its earlier stages."""
    return config["orders"][wildcards.order][: int(wildcards.stage)]


def says(method, name):
    """A literal of a method's class, such as STARTS."""
    runs = source.method_module(method, config["methods"][method])
    return source.class_literal(source.module_name("methods", runs), name)


def previous_stage(wildcards):
    """The adapter one stage earlier; none at the first, and none for a method that starts from the base model."""
    before = int(wildcards.stage) - 1 if says(wildcards.method, "STARTS") == "previous" else 0
    return expand(ADAPTER, stage=before, allow_missing=True)[0] if before else []


def documents_read(wildcards):
    """Token folders of the new domain, and of the old ones where the method reads them."""
    domains = trained_domains(wildcards)
    read = domains if says(wildcards.method, "READS") == "all" else domains[-1:]
    return expand(TOKENS, domain=read, allow_missing=True)


def recipe(wildcards):
    """What a stage is trained on, and how."""
    return dict(wildcards.items()) | {
        "base": config["models"][wildcards.model],
        "domains": trained_domains(wildcards),
        "options": config["methods"][wildcards.method],
        "training": config["training"],
    }


def method_code(wildcards):
    """The method is found by name, so it is named here."""
    runs = source.method_module(wildcards.method, config["methods"][wildcards.method])
    return code("train_adapter.py", "methods", runs)


def style():
    """Lines of the figures' style but for comments: no code, and yet what figures depend on."""
    text = (source.SCRIPTS / "implicit_sparsity/figures/thesis.mplstyle").read_text("utf-8")
    return [said for line in text.splitlines() if (said := line.partition("#")[0].strip())]


def table(name):
    """A table of results/tables/ with its place in the report."""
    path = f"results/tables/{name}.csv"
    return report(path, caption="captions/table.rst", category="Tables", labels={"table": name})


onsuccess:
    shutil.rmtree(
        "results/.output_cache", ignore_errors=True
    )  # of groups that failed on the way, see output_cache.py
