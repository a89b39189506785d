"""Options of probes and figures: dataclass fields that a config may set, checked when the object is made.

The workflow reads the same fields from source while it is parsed (``source.option_fields``), so a default
must be a literal. There is no registry: the name in the config is the module, the class is its CamelCase.
"""

import dataclasses
import importlib

from implicit_sparsity.errors import InputError


def option(default, *, low=None, high=None, choices=None, empty=False, help=""):
    """A dataclass field with a literal default, inclusive bounds (of each item, for a tuple) and choices;
    empty: whether a tuple may be."""
    return dataclasses.field(
        default=default,
        metadata={"low": low, "high": high, "choices": choices, "empty": empty, "help": help},
    )


@dataclasses.dataclass
class Options:
    """Base of every configurable class: refuses a value outside its field's bounds or choices."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
                setattr(self, field.name, value)
                if not value and not field.metadata.get("empty"):
                    raise InputError("an empty list", key=field.name)
            for item in value if isinstance(value, tuple) else (value,):
                _check(field, item)


def _check(field, value) -> None:
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if choices is not None and value not in choices:
        raise InputError(f"{value!r} is not one of {', '.join(map(str, choices))}", key=field.name)
    if (low is None and high is None) or value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (low is None or value >= low) or not (high is None or value <= high):
        raise InputError(f"{value!r} is not a number from {low} to {high}", key=field.name)


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
