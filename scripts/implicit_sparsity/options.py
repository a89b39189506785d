"""Options of methods, probes, figures and claims: dataclass fields that a config may set.

They are checked when the object is made; before that the workflow reads the same fields from source while
it is parsed (``source.option_fields``), so a default is a literal, and what is allowed is one, or a constant
of a module of ours. There is no registry: the name in the config is the module, the class is its CamelCase.
"""

import dataclasses
import importlib

from implicit_sparsity.errors import InputError
from implicit_sparsity.option_relations import RELATIONS, conflicts
from implicit_sparsity.option_values import Option, kinds_of, misfit


def option(default, *, help="", **allowed):
    """A dataclass field with a literal default; ``allowed``: fields of ``option_values.Option``.

    ``low``, ``high``, ``above``, ``below`` and ``choices`` hold of each item of a tuple. What needs more
    than the value itself (``of``, ``asks``, bounds that are places of the config) the workflow alone checks.
    """
    if unknown := set(allowed) - set(Option._fields):
        raise TypeError(f"no property of an option: {', '.join(sorted(unknown))}")
    return dataclasses.field(default=default, metadata={"allowed": allowed, "help": help})


@dataclasses.dataclass
class Options:
    """Base of every configurable class: refuses a value that its field does not allow, a value given twice,
    and options that do not go together (``option_relations``)."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            allowed = Option(_text(field.type), field.default, **field.metadata.get("allowed", {}))
            value = getattr(self, field.name)
            if "tuple" in kinds_of(allowed.type) and value is not None:
                value = tuple(value) if isinstance(value, list | tuple) else (value,)
                setattr(self, field.name, value)
                if len(set(value)) < len(value):
                    raise InputError("a value twice", key=field.name)
            if words := misfit(allowed, value):
                raise InputError(f"found {value!r}, allowed: {words}", key=field.name)
        rules = {name: getattr(self, name) for name in RELATIONS if hasattr(self, name)}
        for name, words, _ in conflicts(vars(self), rules):
            raise InputError(f"found {getattr(self, name)!r}, allowed: {words}", key=name)


def _text(annotation) -> str:
    """An annotation as it stands in the source."""
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    return annotation.__name__ if plain else str(annotation)


def load(room: str, name: str, **options):
    """An object of the class that ``implicit_sparsity.<room>.<name>`` is named after, with these options.

    Raises InputError for a name without a module and an option without a field.
    """
    module = f"implicit_sparsity.{room}.{name}"
    try:
        result = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"there is no {module.replace('.', '/')}.py", key=f"{room}/{name}") from None
    cls = getattr(result, "".join(part.capitalize() for part in name.split("_")))
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise InputError(f"no option {', '.join(unknown)}; options: {allowed}", key=f"{room}/{name}")
    return cls(**options)
