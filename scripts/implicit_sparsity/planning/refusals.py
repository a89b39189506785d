"""Which methods and measurements a network's layers cannot take, found before anything is trained.

A method or measurement says in its class's literal ``REFUSES`` of which traits of a network (``ffn.traits``)
it cannot be made right: (trait, options with which that is so, why). The table in docs/models.md is made of
the same.
"""

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import source


def reason(traits, name: str, entry: dict | None = None, room: str = "methods") -> str | None:
    """Why the method ``name`` of the config (or the measurement: ``room``), with the options of its
    ``entry``, does not fit a network of these traits; None: it does."""
    module = source.method_module(name, entry) if room == "methods" else name
    module = source.module_name(room, module)
    options = source.with_defaults(module, entry or {})
    for trait, when, why in source.class_literal(module, "REFUSES"):
        if trait in traits and all(options.get(key) == value for key, value in when.items()):
            return why
    return None


def check(shape, model: str, methods: dict) -> None:
    """InputError, one line that names all methods of the config's ``methods`` that do not fit this model."""
    refused = {name: why for name, entry in methods.items() if (why := reason(shape.traits, name, entry))}
    if refused:
        listed = "; ".join(f"{name}: {why}" for name, why in refused.items())
        raise InputError(f"{shape.family} cannot be trained with {listed}", key=f"models.{model}")


def check_measured(shape, model: str, probes: dict) -> None:
    """The same of the measurements among the config's ``probes``."""
    known = source.available("measurements")
    asked = {name: entry for name, entry in probes.items() if name in known}
    asked = {name: reason(shape.traits, name, entry, "measurements") for name, entry in asked.items()}
    if listed := "; ".join(f"probes.{name}: {why}" for name, why in asked.items() if why):
        raise InputError(f"{shape.family} cannot be measured with {listed}", key=f"models.{model}")
