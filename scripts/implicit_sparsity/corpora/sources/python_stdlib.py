r'''Functions of Python's standard library: signature and docstring -> body. Read as text, never imported.

    id          "fnmatch:filter:47"          group  "fnmatch" (the top-level module or package)
    prompt      'def filter(names, pat):\n    """Construct a list from those elements of the ...'
    completion  "    result = []\n    pat = os.path.normcase(pat)\n    match = _compile_pattern(pat)\n ..."

Left out: tests, demos, bundled packages, packages that distributions split off (tkinter, idlelib) or that
later versions removed (lib2to3, distutils), so that Python 3.11 of two vendors gives the same functions.
'''

import platform
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from implicit_sparsity.corpora.functions import functions_of
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

OPTIONS = {"min_body_chars": {"low": 0}}
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
    module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for record in functions_of(path, module, module.split(".")[0], min_body_chars):
        yield record | {"licence": LICENCE}
