"""What no single key can say: references between entries, and sizes that have to fit each other.

Each function takes a config that fits its models, and returns nothing or raises ConfigError.
"""

from .. import source
from ..tables import CORPORA, SCORES
from .error import ConfigError, Errors, refuse_unknown, show
from .options import MEASUREMENTS, probe_module, with_defaults

# (the larger, the smaller) of an architecture: the first is a multiple of the second
HEADS = (
    ("num_attention_heads", "num_key_value_heads"),
    ("linear_num_value_heads", "linear_num_key_heads"),
)


def check_models(config):
    """The heads and experts of an architecture fit each other."""
    for name, model in config["models"].items():
        shape, at = model.get("config", {}), ("models", name, "config")
        active, experts = shape.get("num_experts_per_tok", 0), shape.get("num_experts", 0)
        if active > experts:
            raise ConfigError((*at, "num_experts_per_tok"), active, f"integer <= {experts}")
        for many, few in HEADS:
            if many in shape and few in shape and shape[many] % shape[few]:
                raise ConfigError((*at, many), shape[many], f"a multiple of {few} ({shape[few]})")


def check_orders(config):
    """Orders name domains, each once."""
    errors = Errors()
    for name, order in config["orders"].items():
        for position, domain in enumerate(order):
            at = ("orders", name, position)
            with errors:
                refuse_unknown(at, domain, config["domains"], "domain", "domains")
                if domain in order[:position]:
                    raise ConfigError(at, f"{show(domain)} a second time", "each domain once in an order")
    errors.refuse()


def check_reference(config):
    """The reference set is an entry of domains that no order trains."""
    name = config.get("reference") or ""
    if not name:
        return
    if name not in config["domains"]:
        known = [*config["domains"], "false"]
        refuse_unknown(("reference",), name, known, "domain, or false for none")
    for order, domains in config["orders"].items():
        if name in domains:
            found = f"{show(name)}, which orders.{order} trains"
            raise ConfigError(("reference",), found, "a domain in no order, as it is never trained")
    if len(config["domains"]) < 2:
        raise ConfigError(("reference",), f"{show(name)}, the only domain", "one beside others")


def check_budgets(config):
    """Warm-up ends before training; evals ask for domains and documents that exist; lengths fit."""
    training, evals, splits = config["training"], config["evals"], config["splits"]
    if training["warmup"] >= training["steps"]:
        words = f"integer < training.steps ({training['steps']})"
        raise ConfigError(("training", "warmup"), training["warmup"], words)
    for position, domain in enumerate(evals["generate"]):
        refuse_unknown(("evals", "generate", position), domain, config["domains"], "domain", "domains")
    for key in ("documents", "choice_items", "generation_items"):
        if evals[key] > splits["eval"]:
            raise ConfigError(("evals", key), evals[key], f"integer <= splits.eval ({splits['eval']})")
    if splits["min_chars"] > splits["max_chars"]:
        raise ConfigError(("splits", "min_chars"), splits["min_chars"], "integer <= splits.max_chars")
    shortest = config["tokens"]["min_completion"]
    if shortest >= config["tokens"]["max_length"]:
        raise ConfigError(("tokens", "min_completion"), shortest, "integer < tokens.max_length")


def check_format_warmup(config):
    """There is a format to learn, and weights that it can be added into."""
    if not config["training"].get("format_warmup"):
        return
    if not config["tokens"]["template"].get("after"):
        found = "a warm-up on a format without a stop token: tokens.template.after is empty"
        raise ConfigError(("training", "format_warmup"), found, "false with bare text")
    for name, model in config["models"].items():
        if model.get("quantization", "none") != "none":
            words = "none where training.format_warmup is on: what it learns is added into the weights"
            raise ConfigError(("models", name, "quantization"), show(model["quantization"]), words)


def check_measurements(config):
    """A split has the documents that a measurement takes; what its class calls multiples are."""
    for name in (name for name in MEASUREMENTS if name in config["probes"]):
        module = probe_module(name)
        options = with_defaults(module, config["probes"][name])
        _check_unrelated(config, ("probes", name, "unrelated"), options.get("unrelated"))
        for option, split in source.class_literal(module, "SPLITS").items():
            available = config["splits"][split]
            if max(_many(options.get(option, 0))) > available:
                words = f"integer <= splits.{split} ({available})"
                raise ConfigError(("probes", name, option), options[option], words)
        if options.get("skip_first", 0) >= config["tokens"]["max_length"]:
            words = f"integer < tokens.max_length ({config['tokens']['max_length']})"
            raise ConfigError(("probes", name, "skip_first"), options["skip_first"], words)
        for many, few in source.class_literal(module, "MULTIPLES", default={}).items():
            if any(value % options[few] for value in _many(options[many])):
                words = f"a multiple of {few} ({options[few]})"
                raise ConfigError(("probes", name, many), options[many], words)
        for some, of in source.class_literal(module, "AMONG", default={}).items():
            if not set(_many(options[some])) <= set(_many(options[of])):
                words = f"numbers among {of} ({show(options[of])})"
                raise ConfigError(("probes", name, some), options[some], words)


def _check_unrelated(config, at, domain):
    """A domain that no order trains."""
    if not domain:
        return
    refuse_unknown(at, domain, config["domains"], "domain", "domains")
    for order, domains in config["orders"].items():
        if domain in domains:
            found = f"{show(domain)}, which orders.{order} trains"
            raise ConfigError(at, found, "a domain in no order")


def _many(value) -> list:
    return value if isinstance(value, list) else [value]


def width(model) -> int:
    """FFN neurons of one block, all experts together."""
    shape = model.get("config", {})
    if "num_experts" in shape:
        experts = shape["num_experts"] * shape["moe_intermediate_size"]
        return experts + shape["shared_expert_intermediate_size"]
    return shape["intermediate_size"] if shape else model["width"]


def check_sizes(config):
    """The sets of neurons that probes compare fit every model."""
    narrowest = min(config["models"], key=lambda name: width(config["models"][name]))
    limit = width(config["models"][narrowest])
    words = f"a share below 1 or a count <= {limit}, the width of models.{narrowest}"
    for probe, options in config["probes"].items():
        for key in ("k", "top_k"):
            sizes = options.get(key, [])
            many = isinstance(sizes, list)
            for position, size in enumerate(sizes if many else [sizes]):
                if size > limit or (size >= 1 and size != int(size)):
                    at = ("probes", probe, key)
                    raise ConfigError((*at, position) if many else at, size, words)


def check_tables(config):
    """No probe has another table's name; figures are of domains that there are."""
    for name in config["probes"]:
        if name in (*CORPORA, *SCORES):
            words = f"any name but {', '.join((*CORPORA, *SCORES))}"
            raise ConfigError(("probes", name), "the name of another table", words)
    for name, entry in config["figures"].items():
        if entry.get("domain"):
            at = ("figures", name, "domain")
            refuse_unknown(at, entry["domain"], config["domains"], "domain", "domains")


def check_hardware(config):
    """No job takes more GPUs than there are; a range has its lower end first."""
    hardware = config.get("hardware", {})
    for model, count in hardware.get("cards_per_job", {}).items():
        if count > hardware.get("cards", count):
            words = f"integer <= hardware.cards ({hardware['cards']})"
            raise ConfigError(("hardware", "cards_per_job", model), count, words)
    for model, ranges in hardware.get("budget", {}).items():
        for what, (low, high) in ranges.items():
            if low > high:
                at = ("hardware", "budget", model, what)
                raise ConfigError(at, f"[{low:g}, {high:g}]", "the lower end, and then the upper")


def check_comparisons(config, families):
    """The reference of the comparison is an entry of methods, or a control of one."""
    names = sorted({origin["family"] for origin in families.values()})
    if names:
        at = ("comparisons", "reference")
        refuse_unknown(at, config["comparisons"]["reference"], names, "method", "methods")
