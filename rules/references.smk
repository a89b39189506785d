"""Check what no schema can: references between entries, and options against the modules that take them.

Needs: a config that fits rules/config.schema.yaml, and the library as text. Makes: nothing, or one line on stderr.
"""

import copy

LOCAL_KEYS = ("loader", "limit")  # keys of a source that are the workflow's, not the loader's
# Entries of probes that run the network; all others are modules of probes/.
MEASUREMENTS = ("activations", "gradients", "thresholds", "drift", "plasticity_task", "input_spectra")
# Tables that are made of every trained study.
SCORES = (
    "scores",
    "r_matrices",
    "metrics",
    "learning_curves",
    "stages",
    "comparisons",
    "fronts",
)


def refuse_unknown(path, name, known, what):
    """Refuse a name that is none of ``known``."""
    if name not in known:
        listed = ", ".join(sorted(known)) or f"none, there is no {what}"
        refuse(path, f"{show(name)}, which is no {what}", listed + source.nearest(name, known))


def check_options(path, entry, options, skip=()):
    """Refuse a keyword that a module does not take, a value it does not allow, a required one left out."""
    for key in sorted(set(entry) - set(skip)):
        if key not in options and "**" not in options:
            known = sorted(set(options) | set(skip))
            refuse((*path, key), "an unknown key", (", ".join(known) or "none") + source.nearest(key, known))
        allowed = source.misfit(options[key], entry[key]) if key in options else None
        if allowed:
            refuse((*path, key), show(entry[key]), allowed)
    for key, option in options.items():
        if key != "**" and option.required and key not in entry:
            refuse((*path, key), "nothing", option.type or "a value")


def check_room(room, ignore=()):
    """Every entry of probes, figures or claims is a module of that room and has options of its class."""
    for name, entry in config[room].items():
        if name not in ignore:
            refuse_unknown((room, name), name, source.available(room), f"module of {room}")
            check_options((room, name), entry, source.option_fields(source.module_name(room, name)))


def check_sources():
    """Every source names a loader, options the loader has, and files that are there."""
    for domain, entry in config["domains"].items():
        for name, chosen in entry["sources"].items():
            path = ("domains", domain, "sources", name)
            loader = chosen.get("loader", name)
            at = (*path, "loader") if "loader" in chosen else path
            refuse_unknown(at, loader, source.available("corpora.sources"), "loader")
            file = source.module_name("corpora.sources", loader)
            options = source.signature_options(file, "documents", skip=("limit", "seed"))
            check_options(path, chosen, options, skip=LOCAL_KEYS)
            if "path" in chosen and not os.path.isfile(chosen["path"]):
                refuse((*path, "path"), f"{show(chosen['path'])}, which is no file", "a file that exists")


def check_models():
    """A path leads to a model; the heads and experts of an architecture fit each other."""
    for name, model in config["models"].items():
        if model["source"] == "path" and not os.path.isfile(os.path.join(model["path"], "config.json")):
            refuse(
                ("models", name, "path"), f"{show(model['path'])}, without config.json", "a model's folder"
            )
        shape = model.get("config", {})
        at = ("models", name, "config")
        if shape.get("num_experts_per_tok", 0) > shape.get("num_experts", 0):
            refuse(
                (*at, "num_experts_per_tok"),
                shape["num_experts_per_tok"],
                f"integer <= {shape['num_experts']}",
            )
        for many, few in (
            ("num_attention_heads", "num_key_value_heads"),
            ("linear_num_value_heads", "linear_num_key_heads"),
        ):
            if many in shape and few in shape and shape[many] % shape[few]:
                refuse((*at, many), shape[many], f"a multiple of {few} ({shape[few]})")


def width(model):
    """FFN neurons of one block, all experts together."""
    shape = model.get("config", {})
    if "num_experts" in shape:
        return (
            shape["num_experts"] * shape["moe_intermediate_size"] + shape["shared_expert_intermediate_size"]
        )
    return shape["intermediate_size"] if shape else model["width"]


def check_orders():
    """Orders name domains, each once."""
    for name, order in config["orders"].items():
        for position, domain in enumerate(order):
            refuse_unknown(("orders", name, position), domain, config["domains"], "domain")
            if domain in order[:position]:
                refuse(
                    ("orders", name, position),
                    f"{show(domain)} a second time",
                    "each domain once in an order",
                )


def check_budgets():
    """Warm-up ends before training; evals ask for domains and documents that exist; k fits every model."""
    budget = config["training"]
    if budget["warmup"] >= budget["steps"]:
        refuse(("training", "warmup"), budget["warmup"], f"integer < training.steps ({budget['steps']})")
    for position, domain in enumerate(config["evals"]["generate"]):
        refuse_unknown(("evals", "generate", position), domain, config["domains"], "domain")
    for key in ("documents", "choice_items", "generation_items"):
        if config["evals"][key] > config["splits"]["eval"]:
            refuse(
                ("evals", key), config["evals"][key], f"integer <= splits.eval ({config['splits']['eval']})"
            )
    if config["splits"]["min_chars"] > config["splits"]["max_chars"]:
        refuse(("splits", "min_chars"), config["splits"]["min_chars"], "integer <= splits.max_chars")
    if config["tokens"]["min_completion"] >= config["tokens"]["max_length"]:
        refuse(
            ("tokens", "min_completion"), config["tokens"]["min_completion"], "integer < tokens.max_length"
        )
    check_gradients(config["probes"].get("gradients"))
    check_thresholds(config["probes"].get("thresholds"))
    check_drift(config["probes"].get("drift"))
    check_plasticity_task(config["probes"].get("plasticity_task"))
    narrowest = min(config["models"], key=lambda name: width(config["models"][name]))
    limit = width(config["models"][narrowest])
    for probe, options in config["probes"].items():
        for key in ("k", "top_k"):
            sizes = options.get(key, [])
            for position, size in enumerate(sizes if isinstance(sizes, list) else [sizes]):
                if size > limit:
                    allowed = f"a share below 1 or a count <= {limit}, the width of models.{narrowest}"
                    refuse(("probes", probe, key, position), size, allowed)


def check_gradients(options):
    """Halves have the documents whose gradients are taken, and a sketch is as many numbers for every column."""
    if not options:
        return
    available = config["splits"]["probe"]
    if options["documents"] > available:
        allowed = f"integer <= splits.probe ({available})"
        refuse(("probes", "gradients", "documents"), options["documents"], allowed)
    if options["dim"] % options["rank"]:
        refuse(("probes", "gradients", "dim"), options["dim"], f"a multiple of rank ({options['rank']})")


def check_thresholds(options):
    """A half has the documents whose losses are taken."""
    available = config["splits"]["probe"]
    if options and options["documents"] > available:
        allowed = f"integer <= splits.probe ({available})"
        refuse(("probes", "thresholds", "documents"), options["documents"], allowed)


def check_drift(options):
    """A half has the reference documents."""
    available = config["splits"]["probe"]
    if options and options["documents"] > available:
        allowed = f"integer <= splits.probe ({available})"
        refuse(("probes", "drift", "documents"), options["documents"], allowed)


def check_plasticity_task(options):
    """A half has the documents that ranks are measured on."""
    available = config["splits"]["probe"]
    if options and options["documents"] > available:
        allowed = f"integer <= splits.probe ({available})"
        refuse(("probes", "plasticity_task", "documents"), options["documents"], allowed)


def made_tables():
    """Names of the tables that this study makes."""
    learns = any(model.get("trained", True) for model in config["models"].values())
    trained = SCORES if config["methods"] and learns else ["scores"]
    return [*trained, *(name for name in config["probes"] if name not in MEASUREMENTS)]


def check_tables():
    """Every figure's tables are made, of domains that there are, and no probe takes the name of another table."""
    for name in config["probes"]:
        if name in SCORES:
            refuse(("probes", name), "the name of another table", f"any name but {', '.join(SCORES)}")
    made = made_tables()
    for name, entry in config["figures"].items():
        for table in figure_tables(name):
            if table not in made:
                allowed = f"figures of {', '.join(made)}; or name {table} under probes"
                refuse(("figures", name), f"a figure of the table {table}, which is not made", allowed)
        if entry.get("domain"):
            refuse_unknown(("figures", name, "domain"), entry["domain"], config["domains"], "domain")


def check_needs():
    """What a probe reads is measured."""
    for name in config["probes"]:
        if name in MEASUREMENTS:
            continue
        for need in source.class_literal(source.module_name("probes", name), "NEEDS"):
            if need in MEASUREMENTS and need not in config["probes"]:
                allowed = f"{name} beside an entry {need} under probes"
                refuse(("probes", name), f"a probe that reads {need}, which is not measured", allowed)


def check_comparisons():
    """The reference of the comparison is an entry of methods, or a control of one."""
    families = sorted({about["family"] for about in FAMILIES.values()})
    if families:
        refuse_unknown(("comparisons", "reference"), config["comparisons"]["reference"], families, "method")


def figure_tables(figure):
    """Names of the tables that a figure reads, from its source: what it needs, and what else of it is made."""
    place, made = source.module_name("figures", figure), made_tables()
    optional = source.class_literal(place, "OPTIONAL", default=())
    return [*source.class_literal(place, "TABLES", default=()), *(n for n in optional if n in made)]


def claimed_tables():
    """Names of the tables that claims read, of those that are made."""
    places = [source.module_name("claims", name) for name in config["claims"]]
    kinds = ("TABLES", "OPTIONAL")
    asked = {name for place in places for kind in kinds for name in source.class_literal(place, kind)}
    return [name for name in made_tables() if name in asked]


def check_references():
    """All of the above."""
    check_sources()
    check_models()
    check_orders()
    check_room("probes", ignore=MEASUREMENTS)
    check_needs()
    check_room("figures")
    check_room("claims")
    check_budgets()
    check_tables()
    check_comparisons()


STUDY = read_config()  # as the files say it, before entries are laid out or taken out
config.clear()
config.update(copy.deepcopy(STUDY))


include: "variants.smk"


check_references()
