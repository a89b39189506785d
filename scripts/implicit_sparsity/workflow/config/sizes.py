"""Sizes of sets that options give as a share below 1 or as a count: they fit every model, 1 is no share."""

from implicit_sparsity.option_relations import listed

from .. import source
from .error import ConfigError, Errors
from .options import MEASUREMENTS, probe_module

ROOMS = ("probes", "figures", "claims")


def check_sizes(config):
    """The sets that probes compare are no larger than what any model has of their kind."""
    errors = Errors()
    largest = {"neurons": _smallest(config, width), "experts": _smallest(config, experts)}
    for probe, entry in config["probes"].items():
        for key, option in source.option_fields(probe_module(probe)).items():
            limit, words = largest.get(option.size) or (None, "")
            for position, size in enumerate(listed(entry.get(key, ())) if limit else ()):
                with errors:
                    if size > limit:
                        at = ("probes", probe, key, *([position] if isinstance(entry[key], list) else []))
                        raise ConfigError(at, size, words)
    errors.refuse()


def _smallest(config, of) -> tuple | None:
    """(what the model has that has least, what is allowed in words); None where no model says."""
    sizes = {name: size for name, model in config["models"].items() if (size := of(model))}
    if not sizes:
        return None
    name = min(sizes, key=sizes.get)
    what = {width: "width", experts: "experts"}[of]
    return sizes[name], f"a share below 1 or a count <= {sizes[name]}, the {what} of models.{name}"


def width(model) -> int:
    """FFN neurons of one block, all experts together."""
    shape = model.get("config", {})
    if "num_experts" in shape:
        routed = shape["num_experts"] * shape["moe_intermediate_size"]
        return routed + shape["shared_expert_intermediate_size"]
    return shape["intermediate_size"] if shape else model["width"]


def experts(model) -> int | None:
    """Routed experts of one block; None where the config does not say."""
    return model.get("config", {}).get("num_experts")


def one_as_float(content, file) -> list[ConfigError]:
    """An error for each size that is 1.0: later 1.0 is 1, a count of one, where a share of all may be meant.

    content: a config file as it is read, whose shape is not checked yet.
    """
    words = "a share below 1, or 1 for a set of one"
    ones = (path for path, value in _sizes(content) if isinstance(value, float) and value == 1)
    return [ConfigError(path, "1.0", words, file) for path in ones]


def _sizes(content):
    """(path, value) of every size of a set."""
    parts = content.get("optional")
    parts = parts if isinstance(parts, dict) else {}
    for above, part in [((), content), *((("optional", name), part) for name, part in parts.items())]:
        for room in ROOMS if isinstance(part, dict) else ():
            for name, entry in part[room].items() if isinstance(part.get(room), dict) else ():
                for key in _keys(room, name) if isinstance(entry, dict) else ():
                    value = entry.get(key)
                    many = isinstance(value, list)
                    for position, one in enumerate(value if many else [value]):
                        yield (*above, room, name, key, *([position] if many else [])), one


def _keys(room, name) -> list:
    """Options of an entry that are sizes; none of one that is no module."""
    known = [*source.available(room), *(MEASUREMENTS if room == "probes" else ())]
    if not isinstance(name, str) or name not in known:
        return []
    module = probe_module(name) if room == "probes" else source.module_name(room, name)
    return [key for key, option in source.option_fields(module).items() if option.size]
