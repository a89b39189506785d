"""Functions of Python files as records: signature and docstring -> body. Files are read, never imported.

Functions inside functions belong to the outer one's body.
"""

import ast
from collections.abc import Iterator
from pathlib import Path


def functions_of(path: Path, module: str, group: str, min_body_chars: int) -> Iterator[dict]:
    """Records (no licence) of a file's functions with a docstring and a body of ``min_body_chars`` or more.

    None of a file that this Python cannot parse.
    """
    text = path.read_text("utf-8", errors="replace")
    if '"""' not in text and "'''" not in text:
        return  # no docstring worth parsing for; saves a third of the time
    try:
        parsed = ast.parse(text)
    except SyntaxError:
        return  # a template or a file of another version
    lines = text.splitlines()  # what ast counts, but for form feeds, which _record checks
    for name, node in _functions(parsed, ""):
        record = _record(node, lines)
        if record and len(record["completion"].strip()) >= min_body_chars:
            yield {"id": f"{module}:{name}:{node.lineno}", "group": group, **record}


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
