"""What no single key can say: references between entries, and sizes that have to fit each other.

Each function takes a config that fits its models, and returns nothing or raises ConfigError.
"""

from .. import source
from ..tables import CORPORA, SCORES
from .error import ConfigError, Errors, refuse_unknown, show

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


def check_tables(config):
    """No probe has another table's name."""
    for name in config["probes"]:
        if name in (*CORPORA, *SCORES):
            words = f"any name but {', '.join((*CORPORA, *SCORES))}"
            raise ConfigError(("probes", name), "the name of another table", words)


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


def check_quantized(config):
    """No model whose weights are quantized is trained with a method that needs them as numbers."""
    errors = Errors()
    for name, entry in config["methods"].items():
        module = source.module_name("methods", source.method_module(name, entry))
        for model in entry.get("models", config["models"]):
            trained, weights = config["models"][model], config["models"][model].get("quantization", "none")
            with errors:
                if (
                    source.class_literal(module, "UNQUANTIZED", False)
                    and trained.get("trained", True)
                    and weights != "none"
                ):
                    found = f"a method that needs the weights of {model} as numbers, which are {weights}"
                    words = "models without quantization: `models: [..]` of the entry"
                    raise ConfigError(
                        ("methods", name), found, words, because=[("models", model, "quantization")]
                    )
    errors.refuse()
