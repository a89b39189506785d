"""One loader per data set; the name of the module is the name in the config, and there is no list to keep.

A loader is ``documents(limit, seed, **options)``: an iterator of records (records.py; ``source`` is filled in
by the caller) and of ``Dropped`` markers, the same in every process for the same arguments. ``limit`` is the
most records wanted (None: all there are). ``versions()`` names what its text comes from. Each module opens
with one real example.
"""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from implicit_sparsity.errors import InputError


def names() -> list[str]:
    """The loaders there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(name: str) -> ModuleType:
    """The loader's module, or an InputError that lists the loaders there are."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name not in names():
        raise InputError(f"no loader {name!r} (there are: {', '.join(names())})", key="loader")
    return import_module(f"{__name__}.{name}")
