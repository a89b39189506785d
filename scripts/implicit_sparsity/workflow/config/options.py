"""Options of entries against the source of the modules that take them: probes, figures, claims, loaders."""

from .. import source
from .error import ConfigError, refuse_unknown, show

LOCAL_KEYS = ("loader", "limit")  # keys of a source that are the workflow's, not the loader's
# Entries of probes that run the network; all others are modules of probes/.
MEASUREMENTS = tuple(source.available("measurements"))


def check_options(path, entry, options, skip=()):
    """Refuse a keyword that a module does not take, a value it does not allow, a required one left out."""
    for key in sorted(set(entry) - set(skip)):
        if key not in options and "**" not in options:
            known = sorted(set(options) | set(skip))
            words = (", ".join(known) or "none") + source.nearest(key, known)
            raise ConfigError((*path, key), "an unknown key", words)
        value = entry[key]
        allowed = source.misfit(options[key], value) if key in options else None
        if allowed:
            raise ConfigError((*path, key), show(value), allowed)
        if isinstance(value, list) and (twice := [item for i, item in enumerate(value) if item in value[:i]]):
            raise ConfigError((*path, key), f"{show(twice[0])} twice", "each value once")
    for key, option in options.items():
        if key != "**" and option.required and key not in entry:
            raise ConfigError((*path, key), "nothing", source.described(option))


def check_room(config, room):
    """Every entry of figures or claims is a module of that room and has options of its class."""
    for name, entry in config[room].items():
        refuse_unknown((room, name), name, source.available(room), f"module of {room}")
        check_options((room, name), entry, source.option_fields(source.module_name(room, name)))


def check_probes(config):
    """Every entry of probes is a module of probes/ or of measurements/, and has options of its class."""
    for name, entry in config["probes"].items():
        if name in MEASUREMENTS and name in source.available("probes"):
            raise ConfigError(
                ("probes", name), "a module of measurements/ and one of probes/", "another name"
            )
        if name not in MEASUREMENTS:
            known = [*source.available("probes"), *MEASUREMENTS]
            refuse_unknown(("probes", name), name, known, "module of probes")
        check_options(("probes", name), entry, source.option_fields(probe_module(name)))


def probe_module(name) -> str:
    """The module that an entry of probes is the name of."""
    return source.module_name("measurements" if name in MEASUREMENTS else "probes", name)


def check_sources(config):
    """Every source names a loader, and options the loader has."""
    for domain, content in config["domains"].items():
        for name, chosen in content["sources"].items():
            path = ("domains", domain, "sources", name)
            loader = chosen.get("loader", name)
            at = (*path, "loader") if "loader" in chosen else path
            refuse_unknown(at, loader, source.available("corpora.sources"), "loader")
            file = source.module_name("corpora.sources", loader)
            options = source.signature_options(file, "documents", skip=("limit", "seed"))
            check_options(path, chosen, options, skip=LOCAL_KEYS)


def with_defaults(module, entry) -> dict:
    """An entry with every option of its module's class in place, as YAML would have it."""
    defaults = {key: option.default for key, option in source.option_fields(module).items()}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()} | entry
