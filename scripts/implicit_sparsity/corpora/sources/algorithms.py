r'''Textbook algorithms: signature and docstring -> body, of the package of that name. Read, never imported.

    id          "algorithms.bit_manipulation.remove_bit:remove_bit:18"
    group       "algorithms.bit_manipulation.remove_bit" (the file)
    prompt      'def remove_bit(number: int, position: int) -> int:\n    """Remove the bit at a ...'
    completion  "    mask = number >> (position + 1)\n    mask = mask << position\n ..."

A file has one task, often in several ways, so files are held out whole. Docstrings hold examples as doctests;
25 of the package's 730 fail (1.0.1), which nothing here depends on.
'''

from collections.abc import Iterator
from pathlib import Path

from implicit_sparsity.corpora.functions import functions_of
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within
from implicit_sparsity.storage.files import package_file, version

OPTIONS = {"min_body_chars": {"low": 0}}
LICENCE = "MIT"


def versions() -> dict[str, str]:
    return {"algorithms": version("algorithms")}


def documents(
    limit: int | None, seed: int, max_chars: int | None = None, min_body_chars: int = 40
) -> Iterator[dict | Dropped]:
    """Functions with a docstring and a body of ``min_body_chars`` or more, at most ``max_chars`` in all."""
    root = package_file("algorithms", "__init__.py").parent
    records = (
        record for path in sorted(root.rglob("*.py")) for record in _of_file(path, root, min_body_chars)
    )
    yield from sample(within(records, max_chars), limit, seed)


def _of_file(path: Path, root: Path, min_body_chars: int) -> Iterator[dict]:
    module = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
    for record in functions_of(path, module, module, min_body_chars):
        yield record | {"licence": LICENCE}
