"""Entries of `methods` that stand for several: `controls` and `sweep` are laid out as ordinary methods.

`lora: {sweep: {learning_rate: [0.0003, 0.001]}}` becomes lora_learning_rate_0p0003 and
lora_learning_rate_0p001; `controls: true` adds to a method what its class lists in CONTROLS, under
<entry>_<control>, each swept as the entry is. No rule knows of controls or sweeps.
"""

import itertools

from .. import source
from .defaults import without_defaults
from .error import ConfigError, refuse_unknown
from .options import check_options

# keys of an entry that are the workflow's, not the method's
OF_ENTRIES = ("uses", "controls", "sweep", "models")


def value_name(value) -> str:
    """A swept value as part of a name: 0.0003 -> 0p0003, 1e-05 -> 1em05."""
    text = str(value).lower() if isinstance(value, bool | str) else f"{value:g}"
    return text.replace(".", "p").replace("-", "m").replace("+", "")


def check_methods(config):
    """Every entry is a module of methods, and its options and swept values are those of its class."""
    for name, entry in config["methods"].items():
        runs = source.method_module(name, entry)
        at = ("methods", name, "uses") if "uses" in entry else ("methods", name)
        refuse_unknown(at, runs, source.available("methods"), "module of methods")
        options = source.option_fields(source.module_name("methods", runs))
        check_options(("methods", name), entry, options, skip=OF_ENTRIES)
        for option, values in entry.get("sweep", {}).items():
            for value in values:
                check_options(("methods", name, "sweep"), {option: value}, options)
            if len({value_name(value) for value in values}) < len(values):
                at = ("methods", name, "sweep", option)
                raise ConfigError(at, "two values of one name", "values that differ in six digits")
        for position, model in enumerate(entry.get("models", ())):
            refuse_unknown(("methods", name, "models", position), model, config["models"], "model", "models")


def swept(family, entry) -> dict:
    """name -> (options, {option: value}) of every point of an entry's sweep; the entry itself without one."""
    sweep = entry.get("sweep", {})
    points = {}
    for values in itertools.product(*sweep.values()):
        point = dict(zip(sweep, values))
        name = "_".join([family, *(f"{key}_{value_name(value)}" for key, value in point.items())])
        points[name] = (entry | point, point)
    return points


def controls_of(name, entry, wanted: bool) -> dict:
    """name -> options that make an entry a control of itself; none unless asked for."""
    if not entry.get("controls", wanted):
        return {}
    place = source.module_name("methods", source.method_module(name, entry))
    controls = source.class_literal(place, "CONTROLS")
    for control, options in controls.items():
        clash = sorted(set(options) & set(entry.get("sweep", {})))
        if clash:
            at = ("methods", name, "sweep", clash[0])
            raise ConfigError(at, f"what its control {control} sets", "another option")
    return controls


def laid_out(config) -> tuple[dict, dict]:
    """(methods laid out, {variant: {family, role, of, point}}): role is `method` or the name of a control."""
    methods, families = {}, {}
    for name, entry in config["methods"].items():
        runs = source.method_module(name, entry)
        for role, options in {"method": {}, **controls_of(name, entry, config["controls"])}.items():
            family = name if role == "method" else f"{name}_{role}"
            for variant, (whole, point) in swept(family, entry).items():
                if variant in methods or (variant != name and variant in config["methods"]):
                    found = f"a variant {variant}, which is also another entry"
                    raise ConfigError(("methods", name), found, "another name")
                uses = {} if variant == runs else {"uses": runs}
                own = {key: value for key, value in whole.items() if key not in OF_ENTRIES}
                module = source.module_name("methods", runs)
                methods[variant] = without_defaults(own | options, module) | uses
                families[variant] = {"family": family, "role": role, "of": name, "point": point}
    return methods, families


def those_asked_for(asked, families, at=("probed_methods",)) -> set:
    """Variants that the list ``asked`` at ``at`` names, each by its own name or its family's."""
    if asked == "all" or not families:
        return set(families)
    known = {*families, *(origin["family"] for origin in families.values())}
    for position, name in enumerate(asked):
        refuse_unknown((*at, position), name, known, "method", "methods")
    return {name for name, origin in families.items() if {name, origin["family"]} & set(asked)}
