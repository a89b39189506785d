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
# What each measurement says of itself, in literals of its class.
MEASURES = {
    name: {
        literal: source.class_literal(source.module_name("measurements", name), literal)
        for literal in ("SCOPE", "NEEDS", "PLANNED", "MINUTES")
    }
    for name in config["probes"]
    if name in MEASUREMENTS
}
for name, said in MEASURES.items():  # every option in place, as the plan reads them, too
    options = source.option_fields(source.module_name("measurements", name))
    said["of_base"] = "base" in options["stages"].choices
    defaults = {key: option.default for key, option in options.items()}
    defaults |= {key: list(value) for key, value in defaults.items() if isinstance(value, tuple)}
    config["probes"][name] = defaults | config["probes"][name]
    # which checkpoints are measured, and under which controls, changes nothing in the measurement of one
    said["how"] = {k: v for k, v in config["probes"][name].items() if k not in said["PLANNED"]}

SOURCE = "results/corpora/{domain}/sources/{source}.jsonl"
SPLITS = "results/corpora/{domain}/splits"
MODEL = "results/models/{model}"
TOKENS = "results/tokens/{model}/{domain}"
STORES = {  # of a measurement, by its SCOPE
    "domain": "results/{measurement}/{model}/{checkpoint}/{domain}.zarr",
    "checkpoint": "results/{measurement}/{model}/{checkpoint}.zarr",
}
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


@cache
def probed(model, measurement):
    """Checkpoints of a model that a measurement takes; base is not among them where it is no choice of its class."""
    found = checkpoints(model, config["probes"][measurement]["stages"], PROBED)
    return found if MEASURES[measurement]["of_base"] else found[1:]


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
def code(script, room=None, *names):
    """Fingerprint of a job's own code: its script, all that imports, and the modules it loads by name.

    Remembered: hundreds of jobs share one, and reading the library for each took half of a dry run.
    """
    return fingerprints.fingerprint(script, *(source.module_name(room, name) for name in names))


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


def stores(measurement, **at):
    """Paths of a measurement's stores; `at`: a model, a checkpoint and, where its scope has them, domains, or lists."""
    scope = MEASURES[measurement]["SCOPE"]
    return expand(
        STORES[scope], measurement=measurement, **({"domain": DOMAINS} if scope == "domain" else {}) | at
    )


def readable(need):
    """Paths of what a probe may name in NEEDS, of all models and checkpoints."""
    measurement = need.removesuffix("_base")
    if measurement in MEASURES:
        return [
            path
            for model in MODELS
            for checkpoint in (["base"] if need != measurement else probed(model, measurement))
            for path in stores(measurement, model=model, checkpoint=checkpoint)
        ]
    return READABLE[need]()


def needed(wildcards):
    """What a probe reads, by the names in its NEEDS."""
    needs = source.class_literal(source.module_name("probes", wildcards.probe), "NEEDS")
    return {need: readable(need) for need in needs}


def domains_read(wildcards):
    """The domain that is measured; all of them where one store is of all, or where the measurement's NEEDS says so."""
    alone = "domain" in wildcards.keys() and "tokens" not in MEASURES[wildcards.measurement]["NEEDS"]
    return [wildcards.domain] if alone else DOMAINS


def of_scope(scope):
    """A pattern for the wildcard `measurement`; one that nothing matches where there are none."""
    return "|".join(name for name, said in MEASURES.items() if said["SCOPE"] == scope) or "(?!)"


def needs_orders(wildcards):
    """Whether the config's orders are a param: a change of them says nothing about other measurements."""
    return "orders" in MEASURES[wildcards.measurement]["NEEDS"]


def measured_from(wildcards):
    """What a measurement reads beside the base model: tokens, the adapter, and what its NEEDS names."""
    model, needs = wildcards.model, MEASURES[wildcards.measurement]["NEEDS"]
    found = {"adapter": adapter_of(wildcards)}
    found["tokens"] = expand(TOKENS, model=model, domain=domains_read(wildcards))
    if "previous" in needs:
        found["previous"] = stage_before(wildcards)
    for need in needs:
        if need in MEASURES:  # at the checkpoint, or at the base model where it has none
            at = wildcards.checkpoint if wildcards.checkpoint in probed(model, need) else "base"
            found[need] = stores(need, model=model, checkpoint=at)
    return found


def stage_before(wildcards):
    """The stage before a trained checkpoint's; none before the first, and none of the base model."""
    if wildcards.checkpoint == "base":
        return []
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
