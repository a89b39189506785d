"""Read the library as text: which modules there are, and which options what they are named after takes.

The workflow imports this module while it is parsed, so it uses the standard library alone and never
executes the code it describes.
"""

import ast
import difflib
from functools import cache
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).resolve().parents[2]
PACKAGE = "implicit_sparsity"


class Option(NamedTuple):
    """One keyword a method, probe, figure or loader understands, as its source declares it."""

    type: str  # the annotation as text: "float", "int | None", ... ("" where there is none)
    default: object = None
    low: float | None = None  # bounds are inclusive
    high: float | None = None
    choices: tuple | None = None
    required: bool = False
    empty: bool = False  # whether a tuple of none is allowed


@cache
def tree(path: Path) -> ast.Module:
    """Parse one file. Source that is not Python raises SyntaxError naming the file."""
    return ast.parse(path.read_bytes(), filename=str(path))


def module_path(module: str, root: Path = SCRIPTS) -> Path | None:
    """The file of a local module (``a.b`` or ``a/b.py``), or None where it is not ours."""
    if module.endswith(".py"):
        return root / module if (root / module).is_file() else None
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def available(room: str, root: Path = SCRIPTS) -> list[str]:
    """Names that a config may use for ``room`` (methods, probes, figures, corpora.sources): its modules."""
    folder = root.joinpath(PACKAGE, *room.split("."))
    return sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("__init__", "base"))


def module_name(room: str, name: str) -> str:
    """Dotted name of a module in a room: ``module_name("methods", "lora")``."""
    return f"{PACKAGE}.{room}.{name}"


def method_module(name: str, entry: dict) -> str:
    """The module a config entry runs: its own name, or ``uses`` where it is a variant of another."""
    return (entry or {}).get("uses", name)


def nearest(word: str, known) -> str:
    """``; did you mean x?`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _class(module: str, root: Path) -> tuple[ast.ClassDef, str]:
    """The class a module is named after: ``methods.activation_mask`` -> ``ActivationMask``."""
    wanted = "".join(part.capitalize() for part in module.rsplit(".", 1)[-1].split("_"))
    return _find_class(module, wanted, root) or (None, module)


def _find_class(module: str, name: str, root: Path) -> tuple[ast.ClassDef, str] | None:
    """A class by name in a module, else in the ``base`` beside it."""
    for candidate in (module, module.rsplit(".", 1)[0] + ".base"):
        path = module_path(candidate, root)
        for node in tree(path).body if path else ():
            if isinstance(node, ast.ClassDef) and node.name.lower() == name.lower():
                return node, candidate
    return None


def _lineage(module: str, root: Path) -> list[ast.ClassDef]:
    """The module's class after its bases (those found here or in base.py), as Python would override them."""
    node, where = _class(module, root)
    lineage = []
    while node is not None:
        lineage.insert(0, node)
        names = [
            b.id if isinstance(b, ast.Name) else b.attr
            for b in node.bases
            if hasattr(b, "id") or hasattr(b, "attr")
        ]
        parent = next(
            (f for f in (_find_class(where, n, root) for n in names) if f and f[0] is not node), None
        )
        node, where = parent or (None, where)
    return lineage


def _literal(node: ast.AST | None):
    """The value of a literal expression; ``...`` where it is not one."""
    try:
        return ast.literal_eval(node) if node is not None else ...
    except ValueError:
        return ...


def _declared(annotation: ast.AST | None, value: ast.AST | None) -> Option:
    kind = ast.unparse(annotation).strip("'\"") if annotation is not None else ""
    if isinstance(value, ast.Call) and getattr(value.func, "id", getattr(value.func, "attr", "")) == "option":
        words = {k.arg: _literal(k.value) for k in value.keywords}
        default = _literal(value.args[0]) if value.args else words.get("default", ...)
        limits = {name: words.get(name) for name in ("low", "high", "choices")}
        return Option(kind, default, **limits, required=default is ..., empty=words.get("empty", False))
    default = _literal(value)
    return Option(kind, default, required=value is None)


def option_fields(module: str, root: Path = SCRIPTS) -> dict[str, Option]:
    """Options of the class a module is named after: its dataclass fields, inherited ones first."""
    fields = {}
    for node in _lineage(module, root):
        for line in node.body:
            name = line.target.id if isinstance(line, ast.AnnAssign) else "_"
            if not name.startswith("_") and "ClassVar" not in ast.unparse(line.annotation):
                fields[name] = _declared(line.annotation, line.value)
    return fields


def class_literal(module: str, name: str, default=(), root: Path = SCRIPTS):
    """A literal that the module's class (or its base) assigns, such as a figure's ``TABLES``."""
    for node in reversed(_lineage(module, root)):
        for line in node.body:
            targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
            if any(getattr(t, "id", None) == name for t in targets):
                return _literal(line.value)
    return default


def signature_options(module: str, function: str, skip=(), root: Path = SCRIPTS) -> dict[str, Option]:
    """Keyword arguments of one function, without ``skip``; ``{"**": ...}`` marks one that takes any."""
    for node in tree(module_path(module, root)).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            spec = node.args
            names = [*spec.posonlyargs, *spec.args]
            pairs = [*zip(names, [None] * (len(names) - len(spec.defaults)) + spec.defaults)]
            pairs += zip(spec.kwonlyargs, spec.kw_defaults)
            result = {a.arg: _declared(a.annotation, value) for a, value in pairs if a.arg not in skip}
            result = {k: o._replace(low=0) if o.type.startswith("int") else o for k, o in result.items()}
            return result | ({"**": Option("")} if spec.kwarg else {})
    raise LookupError(f"{module} has no function {function}")


_KINDS = {
    "int": (lambda v: isinstance(v, int) and not isinstance(v, bool), "integer"),
    "float": (
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < float("inf"),
        "number",
    ),
    "str": (lambda v: isinstance(v, str), "text"),
    "bool": (lambda v: isinstance(v, bool), "true or false"),
    "None": (lambda v: v is None, "nothing"),
    "dict": (lambda v: isinstance(v, dict), "mapping"),
    "list": (lambda v: isinstance(v, list | tuple), "list"),
}
_KINDS |= {"tuple": _KINDS["list"], "Sequence": _KINDS["list"], "Mapping": _KINDS["dict"]}


def _kinds(option: Option) -> list[str]:
    """Types that an option may have, by name: "tuple[int] | None" -> tuple, None."""
    return [part.strip().split("[")[0] for part in option.type.split("|")] if option.type else []


def misfit(option: Option, value) -> str | None:
    """What ``option`` allows, in words, where ``value`` is not that; None where it fits.

    Bounds and choices of an option of many values (its type is tuple or list) hold for each of them.
    """
    kinds = _kinds(option)
    if any(kind not in _KINDS for kind in kinds):
        kinds = []  # a type we do not know from its name: the class itself will check it
    many = "tuple" in kinds or ("list" in kinds and isinstance(value, list))
    one = not many or (
        "tuple" in kinds and not isinstance(value, list | tuple)
    )  # a tuple may be given as its one item
    fits = not kinds or (many and one) or any(_KINDS[kind][0](value) for kind in kinds)
    fits = fits and all(_within(option, item) for item in ([value] if one else value))
    none = isinstance(option.default, tuple) and not option.empty and value in ([], ())
    fits = fits and not none
    return None if fits else described(option) + (" with at least one entry" if none else "")


def described(option: Option) -> str:
    """What an option allows, in words."""
    kinds = _kinds(option)
    words = " or ".join(dict.fromkeys(_KINDS[kind][1] for kind in kinds if kind in _KINDS)) or "value"
    many = "tuple" in kinds
    bounds = [f"{sign} {end}" for sign, end in ((">=", option.low), ("<=", option.high)) if end is not None]
    if option.choices:
        return ("list of " if many else "") + " | ".join(map(_spelled, option.choices))
    return (("list of numbers " if many else f"{words} ") + " and ".join(bounds)) if bounds else words


def _spelled(choice) -> str:
    """A choice as YAML has it."""
    return (str(choice).lower() if isinstance(choice, bool) else str(choice)) or "''"


def _within(option: Option, item) -> bool:
    if option.choices and item not in option.choices:
        return False
    if item is None or (option.low is None and option.high is None):
        return True
    number = isinstance(item, int | float) and not isinstance(item, bool)
    low = -float("inf") if option.low is None else option.low
    return number and low <= item <= (float("inf") if option.high is None else option.high)
