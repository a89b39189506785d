"""A default that is spelled out is left out again: params are made of the rest, so that it is no change."""

from .. import source
from .model_keys import KINDS
from .options import MEASUREMENTS


def without_defaults(entry, module) -> dict:
    """An entry less the options that have the default of its module's class."""
    return _less(entry, source.option_fields(module))


def of_sections(config) -> dict:
    """The figures, claims, probes and models of a config, each entry without its defaults.

    Not of measurements, of whose entries every option is in place.
    """
    result = {
        room: {name: without_defaults(e, source.module_name(room, name)) for name, e in config[room].items()}
        for room in ("figures", "claims")
    }
    result["probes"] = {
        name: entry if name in MEASUREMENTS else without_defaults(entry, source.module_name("probes", name))
        for name, entry in config["probes"].items()
    }
    fields = {kind: made.model_fields for kind, made in KINDS.items()}
    result["models"] = {
        name: {k: v for k, v in entry.items() if v is None or v != fields[entry["source"]][k].default}
        for name, entry in config["models"].items()
    }
    return result


def of_loader(entry, loader) -> dict:
    """The entry of a source without defaults of its loader."""
    module = source.module_name("corpora.sources", loader)
    return _less(entry, source.signature_options(module, "documents"))


def _less(entry, options) -> dict:
    left_out = {key for key in set(entry) & set(options) if _is_default(entry[key], options[key])}
    return {key: value for key, value in entry.items() if key not in left_out}


def _is_default(value, option) -> bool:
    """Whether a value is what its option is without it: 16.0 is 16, and 1 is not true."""
    default = option.default
    if option.required or isinstance(value, bool) != isinstance(default, bool):
        return False
    if isinstance(default, tuple):  # which may be given as its one item
        return (value if isinstance(value, list) else [value]) == list(default)
    return value == default
