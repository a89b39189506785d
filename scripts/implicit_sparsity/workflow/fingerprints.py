"""What a job's result depends on of our own code, as one sum: equal sums, equal behaviour.

The sha256 of the syntax trees of a script and of every local module that it imports, directly or not.
Comments and formatting are not in a tree, docstrings are taken out. The workflow asks for the sums of all its
rules whenever it is parsed, on a cluster in every job: reading two hundred files as trees takes two seconds.
So what was read of a file's content is noted in ``__pycache__``, beside Python's own notes, under the sha256
of that content; without the notes, or with broken ones, the files are read again.
"""

import ast
import contextlib
import functools
import hashlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

from implicit_sparsity.provenance import cache
from implicit_sparsity.storage.files import sha256

from .constants import SCRIPTS, module_path

MOST = 5000  # notes: files times edits
_unwritten = set()  # roots of which something was read that is not in the notes


class Facts(NamedTuple):
    """Of one file: sha256 of its tree without docstrings, and the dotted names that it imports anywhere."""

    digest: str
    imports: tuple[str, ...]


def fingerprint(*modules: str, root: Path = SCRIPTS) -> str:
    """Hex digest of the code that ``modules`` (dotted names or files under ``root``) stand for.

    FileNotFoundError names one that is not there; SyntaxError one that is not Python.
    """
    total = hashlib.sha256()
    for path in closure(*modules, root=root):
        digest = bytes.fromhex(_facts(path, root).digest)
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + digest)
    _keep(root)
    return total.hexdigest()


def closure(*modules: str, root: Path = SCRIPTS) -> list[Path]:
    """Every local file that ``modules`` (dotted names or files under ``root``) run when imported."""
    pending = []
    for module in modules:
        path = module_path(module, root)
        if path is None:
            raise FileNotFoundError(f"no module {module} under {root}")
        dotted = [] if module.endswith(".py") else module.split(".")
        parents = (module_path(".".join(dotted[:i]), root) for i in range(1, len(dotted)))
        pending += [path, *(p for p in parents if p)]
    result = set()
    while pending:
        path = pending.pop()
        if path not in result:
            result.add(path)
            pending += _imported(path, root)
    return sorted(result)


@functools.cache
def _imported(path: Path, root: Path) -> tuple[Path, ...]:
    """Local files that one file imports anywhere, with every package above them."""
    names = _facts(path, root).imports
    names = {".".join(parts[: i + 1]) for parts in (n.split(".") for n in names) for i in range(len(parts))}
    return tuple(place for place in (module_path(name, root) for name in sorted(names)) if place)


@functools.cache
def _facts(path: Path, root: Path) -> Facts:
    """From the notes, or read now and noted. The place is in the key: relative imports depend on it."""
    place, content = path.relative_to(root), path.read_bytes()
    key = cache.key(place.as_posix(), hashlib.sha256(content).hexdigest())
    notes = _notes(root)
    if key not in notes:
        parsed = ast.parse(content, filename=str(path))
        notes[key] = Facts(_digest(parsed), _names(parsed, place.parent.parts))
        _unwritten.add(root)
    return notes[key]


def _names(parsed: ast.Module, package: tuple[str, ...]) -> tuple[str, ...]:
    """`from a import b`: b is a module or a name, so both are asked for."""
    names = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return tuple(sorted(names))


def _digest(parsed: ast.Module) -> str:
    """sha256 of a tree; its docstrings are taken out for good."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            head = node.body[0] if node.body else None
            if isinstance(head, ast.Expr) and isinstance(getattr(head.value, "value", None), str):
                del node.body[0]
    return hashlib.sha256(ast.dump(parsed).encode()).hexdigest()


def _place(root: Path) -> Path:
    """Of the notes of this Python and of this file: both decide how a tree is written down."""
    name = f"fingerprints.{sys.implementation.cache_tag}.{sha256(__file__)[:8]}.json"
    return root / "__pycache__" / name


@functools.cache
def _notes(root: Path) -> dict:
    """{key: Facts} of earlier readings."""
    broken = (OSError, ValueError, TypeError, AttributeError)
    return cache.load(_place(root), _read, damaged=broken) or {}


def _read(path: Path) -> dict:
    noted = json.loads(path.read_bytes())
    return {k: Facts(bytes.fromhex(digest).hex(), tuple(names)) for k, (digest, names) in noted.items()}


def _keep(root: Path) -> None:
    """Write the notes down where something was read; where nothing may be written there are none."""
    if root not in _unwritten or sys.dont_write_bytecode:
        return
    _unwritten.discard(root)
    recent = dict(list(_notes(root).items())[-MOST:])
    with contextlib.suppress(OSError):
        cache.store(_place(root), Path.write_text, json.dumps(recent))
