"""What an option allows, in words, and whether a value is that.

The same for a class that runs and for its source as the workflow reads it, so this is the standard library
alone.
"""

import math
import operator
import re
from typing import NamedTuple


class Option(NamedTuple):
    """One keyword a method, probe, figure, claim or loader understands, as it is declared."""

    type: str  # the annotation as text: "float", "int | None", "tuple[str, ...]" ("" where there is none)
    default: object = None
    # Bounds: a number, or as text the place of the config that has it ("splits.probe").
    low: float | str | None = None  # the lowest that is allowed
    high: float | str | None = None
    above: float | str | None = None  # what is allowed lies above this, and is never this
    below: float | str | None = None
    choices: tuple | None = None
    size: str = ""  # a share below 1 or a whole number of these: "neurons", "experts"
    of: str = ""  # the place of the config among whose entries it is ("models"), or "checkpoints", "scores"
    besides: tuple = ()  # values that name nothing, and are allowed all the same
    asks: dict | None = None  # a value -> the place of the config that it takes ("probes.input_spectra.down")
    when: tuple = ()  # (another option, its value) without which it says nothing
    empty: bool = False  # whether a list of none is allowed
    required: bool = False


BOUNDS = {
    "low": (">=", operator.ge),
    "above": (">", operator.gt),
    "high": ("<=", operator.le),
    "below": ("<", operator.lt),
}


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_KINDS = {  # name of a type: (whether a value is one, one in words, several in words)
    "int": (lambda v: isinstance(v, int) and not isinstance(v, bool), "integer", "integers"),
    "float": (_number, "number", "numbers"),
    "str": (lambda v: isinstance(v, str), "text", "text"),
    "bool": (lambda v: isinstance(v, bool), "true or false", "true or false"),
    "None": (lambda v: v is None, "nothing", "nothing"),
    "dict": (lambda v: isinstance(v, dict), "mapping", "mappings"),
    "list": (lambda v: isinstance(v, list | tuple), "list", "lists"),
}
_KINDS |= {"tuple": _KINDS["list"], "Sequence": _KINDS["list"], "Mapping": _KINDS["dict"]}
_ITEM = re.compile(r"(?:tuple|list|Sequence)\[(.*?)(?:, *\.\.\.)?\]")


def kinds_of(type: str) -> list[str]:
    """Types that an annotation allows, by name: "tuple[int, ...] | None" -> tuple, None."""
    while (outer := re.sub(r"\[[^\[\]]*\]", "", type)) != type:
        type = outer
    return [part.strip() for part in type.split("|")] if type else []


def items_of(option: Option) -> list[str]:
    """Types of the items of a list, by name; those of the default's items where the annotation has none."""
    if inner := _ITEM.search(option.type):
        return kinds_of(inner[1])
    default = option.default if isinstance(option.default, tuple) else ()
    for kind in ("str", "float"):
        if default and all(_KINDS[kind][0](item) for item in default):
            return [kind]
    return []


def misfit(option: Option, value) -> str | None:
    """What ``option`` allows, in words, where ``value`` is not that; None where it fits.

    Bounds and choices of a list hold for each of its items; a tuple may be given as its one item. Bounds
    that are places of the config are not known here.
    """
    kinds, listed = kinds_of(option.type), isinstance(value, list | tuple)
    many = "tuple" in kinds and not (value is None and "None" in kinds)
    if many or (listed and "list" in kinds):
        items, kinds = list(value) if listed else [value], items_of(option)
    else:
        items = [value]
    if not all(_is(kinds, item) and _within(option, item) for item in items):
        return described(option)
    several = many or isinstance(option.default, tuple)
    return f"{described(option)} with at least one entry" if several and not (items or option.empty) else None


def described(option: Option) -> str:
    """What an option allows, in words."""
    kinds = kinds_of(option.type)
    many = "tuple" in kinds
    names = [kind for kind in (items_of(option) if many else kinds) if kind in _KINDS]
    words = " or ".join(dict.fromkeys(_KINDS[kind][2 if many else 1] for kind in names))
    bounds = [f"{sign} {getattr(option, name)}" for name, (sign, _) in BOUNDS.items() if _set(option, name)]
    if option.choices:
        words, bounds = " | ".join(map(spelled, option.choices)), []
    elif option.size:
        one = ("shares", "whole numbers") if many else ("share", "whole number")
        words, bounds = f"{one[0]} below 1 or {one[1]} of {option.size}", []
    elif bounds and not words:
        words = "numbers" if many else "value"
    words = " ".join([words or ("" if many else "value"), " and ".join(bounds)]).strip()
    words = " or ".join([words, *(spelled(value) for value in option.besides if _number(value))])
    return f"list of {words}" if many and words else words or "list"


def spelled(choice) -> str:
    """A value as YAML has it."""
    return (str(choice).lower() if isinstance(choice, bool) else str(choice)) or "''"


def _is(kinds, item) -> bool:
    """Whether an item is of one of these types; a type that is not known by its name takes any."""
    return not kinds or any(kind not in _KINDS or _KINDS[kind][0](item) for kind in kinds)


def _set(option, name) -> bool:
    return getattr(option, name) is not None and not isinstance(getattr(option, name), str)


def _within(option, item) -> bool:
    if item is None or (_number(item) and item in option.besides):
        return True
    if option.choices and item not in option.choices:
        return False
    if option.size:
        return _number(item) and item > 0 and (item < 1 or item == int(item))
    limits = [(test, getattr(option, name)) for name, (_, test) in BOUNDS.items() if _set(option, name)]
    return not limits or (_number(item) and all(test(item, limit) for test, limit in limits))
