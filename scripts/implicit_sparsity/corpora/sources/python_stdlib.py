r'''Functions of Python's standard library: signature and docstring -> body. Read as text, never imported.

    id          "fnmatch:filter:47"          group  "fnmatch" (the top-level module or package)
    prompt      'def filter(names, pat):\n    """Construct a list from those elements of the ...'
    completion  "    result = []\n    pat = os.path.normcase(pat)\n    match = _compile_pattern(pat)\n ..."

Left out: tests, demos, bundled packages, packages that distributions split off (tkinter, idlelib) or that
later versions removed (lib2to3, distutils), so that Python 3.11 of two vendors gives the same functions.
Functions inside functions belong to the outer one's body.
'''

import ast
import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

LICENCE = "PSF-2.0"
SKIP = {
    *("test", "tests", "idlelib", "lib2to3", "distutils", "tkinter", "turtle.py", "turtledemo", "pydoc_data"),
    *("ensurepip", "__phello__", "site-packages", "dist-packages", "lib-dynload"),
}


def versions() -> dict[str, str]:
    return {"python": platform.python_version()}


def documents(
    limit: int | None, seed: int, max_chars: int | None = None, min_body_chars: int = 40
) -> Iterator[dict | Dropped]:
    """Functions with a docstring and a body of ``min_body_chars`` or more, at most ``max_chars`` in all."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in root.rglob("*.py") if not _skipped(path.relative_to(root)))
    records = (record for path in paths for record in _of_file(path, root, min_body_chars))
    yield from sample(within(records, max_chars), limit, seed)


def _skipped(relative: Path) -> bool:
    first = relative.parts[0]
    return not SKIP.isdisjoint(relative.parts) or first.startswith(("config-", "_sysconfigdata"))


def _of_file(path: Path, root: Path, min_body_chars: int) -> Iterator[dict]:
    text = path.read_text("utf-8", errors="replace")
    if '"""' not in text and "'''" not in text:
        return  # no docstring worth parsing for; saves a third of the time
    try:
        parsed = ast.parse(text)
    except SyntaxError:
        return  # a template or a file of another version
    module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    lines = text.splitlines()  # what ast counts, but for form feeds, which _record checks
    for name, node in _functions(parsed, ""):
        record = _record(node, lines)
        if record and len(record["completion"].strip()) >= min_body_chars:
            group = module.split(".")[0]
            yield {"id": f"{module}:{name}:{node.lineno}", "group": group, **record, "licence": LICENCE}


def _functions(node, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """(qualified name, node) of functions of the module and its classes, in order, not inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _functions(child, prefix)


def _record(node, lines: list[str]) -> dict | None:
    if ast.get_docstring(node, clean=False) is None or len(node.body) < 2:
        return None
    docstring = node.body[0]
    if node.body[1].lineno <= docstring.end_lineno:  # `"""doc"""; return` on one line
        return None
    head = _dedent(lines[node.lineno - 1 : docstring.end_lineno], node.col_offset)
    body = _dedent(lines[docstring.end_lineno : node.end_lineno], node.col_offset)
    if not head.startswith(("def ", "async def ")):
        return None
    return {"prompt": head, "completion": body.strip("\n").rstrip()}


def _dedent(lines: list[str], by: int) -> str:
    """Cut ``by`` columns of indentation; lines of a text literal that have less keep theirs."""
    return "\n".join(line[by:] if not line[:by].strip() else line for line in lines)
