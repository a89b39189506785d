"""The value of an expression in source, without executing it: literals, and constants made of them.

A name stands for what its module assigns to it at the top, or imports from a module of ours.
"""

import ast
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2]
CALLS = {"tuple": tuple, "list": list, "sorted": sorted, "set": set}
OPERATIONS = {ast.Add: lambda a, b: a + b, ast.BitOr: lambda a, b: a | b, ast.Sub: lambda a, b: a - b}


class NoConstant(LookupError):
    """An expression whose value only running it would tell."""


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


def value_of(node: ast.AST | None, module: str, root: Path = SCRIPTS):
    """The value of an expression in ``module``; ``...`` where there is none, or none that is a constant."""
    try:
        return _value(node, module, root) if node is not None else ...
    except (NoConstant, ValueError, TypeError, KeyError, RecursionError):
        return ...


def _value(node, module, root):
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return constant(module, node.id, root)
        case ast.Attribute(value=ast.Name()):
            return constant(_imported(module, node.value.id, root), node.attr, root)
        case ast.Tuple() | ast.List() | ast.Set():
            items = []
            for item in node.elts:
                starred = isinstance(item, ast.Starred)
                result = _value(item.value if starred else item, module, root)
                items += list(result) if starred else [result]
            return {ast.Tuple: tuple, ast.List: list, ast.Set: set}[type(node)](items)
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            parts = [
                _value(v, module, root) if k is None else {_value(k, module, root): _value(v, module, root)}
                for k, v in pairs
            ]
            return {key: value for part in parts for key, value in part.items()}
        case ast.Call(func=ast.Name(id=name), args=[one], keywords=[]) if name in CALLS:
            return CALLS[name](_value(one, module, root))
        case ast.BinOp() if type(node.op) in OPERATIONS:
            operands = (_value(side, module, root) for side in (node.left, node.right))
            return OPERATIONS[type(node.op)](*operands)
        case _:
            return ast.literal_eval(node)  # -1 and the like; ValueError for all else


def constant(module: str, name: str, root: Path = SCRIPTS):
    """What a module of ours assigns to a name, or imports by it; NoConstant where it does neither."""
    path = module_path(module, root)
    result = NoConstant
    for node in tree(path).body if path else ():
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(getattr(target, "id", None) == name for target in targets):
            continue
        if isinstance(node, ast.AugAssign) and type(node.op) in OPERATIONS:
            result = OPERATIONS[type(node.op)](result, _value(node.value, module, root))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            result = _value(node.value, module, root)
        else:
            raise NoConstant(f"{module}.{name}")
    if result is not NoConstant:
        return result
    imported = _imports(module, root).get(name)
    if not imported or imported[1] is None:
        raise NoConstant(f"{module}.{name}")
    return constant(*imported, root)


def _imported(module, name, root) -> str:
    """The module that is called ``name`` in a module."""
    source, inner = _imports(module, root).get(name, ("", None))
    whole = f"{source}.{inner}" if inner else source
    if not module_path(whole, root):
        raise NoConstant(f"{module}.{name}")
    return whole


def _imports(module, root) -> dict:
    """Name -> (module, name there, or None where it is the module itself) of what a module imports."""
    path, result = module_path(module, root), {}
    package = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
    for node in tree(path).body if path else ():
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            result |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            result |= {alias.asname: (alias.name, None) for alias in node.names if alias.asname}
    return result
