"""Options of entries against the source of the modules that take them: probes, figures, claims, loaders.

What an option names elsewhere in the config is checked by named.py.
"""

from implicit_sparsity.option_relations import RELATIONS, conflicts
from implicit_sparsity.option_values import described, kinds_of, misfit

from .. import source
from .error import ConfigError, Errors, refuse_unknown, show

LOCAL_KEYS = ("loader", "limit")  # keys of a source that are the workflow's, not the loader's
# Entries of probes that run the network; all others are modules of probes/.
MEASUREMENTS = tuple(source.available("measurements"))


def check_options(path, entry, options, skip=()):
    """Refuse a keyword that a module does not take, a value it does not allow, a required one left out."""
    errors = Errors()
    for key in sorted(set(entry) - set(skip)):
        with errors:
            _check_option((*path, key), entry[key], options, skip)
    for key, option in options.items():
        with errors:
            if key != "**" and option.required and key not in entry:
                raise ConfigError((*path, key), "nothing", described(option))
    errors.refuse()


def _check_option(path, value, options, skip):
    key = path[-1]
    if key not in options and "**" not in options:
        known = sorted(set(options) | set(skip))
        words = (", ".join(known) or "none") + source.nearest(key, known)
        raise ConfigError(path, "an unknown key", words)
    allowed = misfit(options[key], value) if key in options else None
    if allowed:
        raise ConfigError(path, show(value), allowed)
    if isinstance(value, list) and (twice := [item for i, item in enumerate(value) if item in value[:i]]):
        raise ConfigError(path, f"{show(twice[0])} twice", "each value once")


def check_class(path, entry, module):
    """An entry has options of the class that a module is named after, and these go together."""
    check_options(path, entry, source.option_fields(module))
    check_relations(path, with_defaults(module, entry), module)


def check_relations(path, options, module):
    """``options`` of a module's class, all of them, go together as its literals ask."""
    rules = {name: source.class_literal(module, name, default={}) for name in RELATIONS}
    for key, words, others in conflicts(options, rules):
        because = [(*path, other) for other in others]
        raise ConfigError((*path, key), show(options[key]), words, because=because)


def check_entries(config):
    """Every entry of probes, figures and claims has options of the class that it is named after."""
    errors = Errors()
    with errors:
        check_probes(config)
    for room in ("figures", "claims"):
        with errors:
            check_room(config, room)
    errors.refuse()


def check_room(config, room):
    """Every entry of figures or claims is a module of that room and has options of its class."""
    errors = Errors()
    for name, entry in config[room].items():
        with errors:
            refuse_unknown((room, name), name, source.available(room), f"module of {room}")
            check_class((room, name), entry, source.module_name(room, name))
    errors.refuse()


def check_probes(config):
    """Every entry of probes is a module of probes/ or of measurements/, and has options of its class."""
    errors = Errors()
    for name, entry in config["probes"].items():
        with errors:
            if name in MEASUREMENTS and name in source.available("probes"):
                found = "a module of measurements/ and one of probes/"
                raise ConfigError(("probes", name), found, "another name")
            if name not in MEASUREMENTS:
                known = [*source.available("probes"), *MEASUREMENTS]
                refuse_unknown(("probes", name), name, known, "module of probes")
            check_class(("probes", name), entry, probe_module(name))
    errors.refuse()


def probe_module(name) -> str:
    """The module that an entry of probes is the name of."""
    return source.module_name("measurements" if name in MEASUREMENTS else "probes", name)


def check_sources(config):
    """Every source names a loader, and options the loader has."""
    errors = Errors()
    for domain, content in config["domains"].items():
        for name, chosen in content["sources"].items():
            with errors:
                _check_source(("domains", domain, "sources", name), chosen)
    errors.refuse()


def _check_source(path, chosen):
    loader = chosen.get("loader", path[-1])
    at = (*path, "loader") if "loader" in chosen else path
    refuse_unknown(at, loader, source.available("corpora.sources"), "loader")
    file = source.module_name("corpora.sources", loader)
    options = source.signature_options(file, "documents", skip=("seed",))
    if "None" in kinds_of(options["limit"].type):
        options["limit"] = options["limit"]._replace(required=False)
    check_options(path, chosen, options, skip=LOCAL_KEYS)


def with_defaults(module, entry) -> dict:
    """An entry with every option of its module's class in place, as YAML would have it."""
    defaults = source.with_defaults(module, {})
    return {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()} | entry
