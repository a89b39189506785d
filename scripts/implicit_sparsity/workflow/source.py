"""Read the library as text: which modules there are, and which options what they are named after takes.

The workflow imports this module while it is parsed, so it uses the standard library alone and never
executes the code it describes.
"""

import ast
import difflib
from functools import cache
from pathlib import Path

from implicit_sparsity.option_values import Option

from .constants import SCRIPTS, module_path, tree, value_of

PACKAGE = "implicit_sparsity"


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


@cache  # as the trees are: checks ask for the same few classes a thousand times
def _lineage(module: str, root: Path) -> tuple[tuple[ast.ClassDef, str], ...]:
    """The module's class after its bases (those found here or in base.py), as Python would override them;
    each with its module."""
    node, where = _class(module, root)
    lineage = []
    while node is not None:
        lineage.insert(0, (node, where))
        names = [
            b.id if isinstance(b, ast.Name) else b.attr
            for b in node.bases
            if hasattr(b, "id") or hasattr(b, "attr")
        ]
        parent = next(
            (f for f in (_find_class(where, n, root) for n in names) if f and f[0] is not node), None
        )
        node, where = parent or (None, where)
    return tuple(lineage)


def _declared(annotation: ast.AST | None, value: ast.AST | None, module: str, root: Path) -> Option:
    """An option of a module; a property that is no constant (``...``) is left to the class itself."""
    kind = ast.unparse(annotation).strip("'\"") if annotation is not None else ""
    if isinstance(value, ast.Call) and getattr(value.func, "id", getattr(value.func, "attr", "")) == "option":
        words = {k.arg: value_of(k.value, module, root) for k in value.keywords}
        default = value_of(value.args[0], module, root) if value.args else words.get("default", ...)
        allowed = {k: v for k, v in words.items() if k in Option._fields and k != "default" and v is not ...}
        return Option(kind, default, **allowed | {"required": default is ...})
    return Option(kind, value_of(value, module, root), required=value is None)


def option_fields(module: str, root: Path = SCRIPTS) -> dict[str, Option]:
    """Options of the class a module is named after: its dataclass fields, inherited ones first."""
    return dict(_option_fields(module, root))


@cache
def _option_fields(module, root):
    fields = {}
    for node, where in _lineage(module, root):
        for line in node.body:
            name = line.target.id if isinstance(line, ast.AnnAssign) else "_"
            if not name.startswith("_") and "ClassVar" not in ast.unparse(line.annotation):
                fields[name] = _declared(line.annotation, line.value, where, root)
    return fields


def with_defaults(module: str, entry: dict) -> dict:
    """A config entry with every option of its module's class in place."""
    return {key: option.default for key, option in option_fields(module).items()} | entry


def class_literal(module: str, name: str, default=(), root: Path = SCRIPTS):
    """A constant that the module's class (or its base) assigns, such as a figure's ``TABLES``."""
    for node, where in reversed(_lineage(module, root)):
        for line in node.body:
            targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
            if any(getattr(t, "id", None) == name for t in targets):
                return value_of(line.value, where, root)
    return default


def signature_options(module: str, function: str, skip=(), root: Path = SCRIPTS) -> dict[str, Option]:
    """Keyword arguments of one function, without ``skip``; ``{"**": ...}`` marks one that takes any.

    What each allows beyond its type is in the module's ``OPTIONS``: argument -> fields of Option.
    """
    for node in tree(module_path(module, root)).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            spec = node.args
            names = [*spec.posonlyargs, *spec.args]
            pairs = [*zip(names, [None] * (len(names) - len(spec.defaults)) + spec.defaults)]
            pairs += zip(spec.kwonlyargs, spec.kw_defaults)
            result = {
                a.arg: _declared(a.annotation, value, module, root) for a, value in pairs if a.arg not in skip
            }
            more = value_of(ast.Name("OPTIONS"), module, root)
            result = {
                name: option._replace(**_limits(option) | ({} if more is ... else more.get(name, {})))
                for name, option in result.items()
            }
            return result | ({"**": Option("")} if spec.kwarg else {})
    raise LookupError(f"{module} has no function {function}")


def _limits(option: Option) -> dict:
    """What an argument allows where its module does not say: counts are from 1 on."""
    return {"low": 1} if option.type.startswith("int") else {}
