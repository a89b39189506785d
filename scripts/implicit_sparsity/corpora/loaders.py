"""Loaders of data sets by name: the modules of ``sources/``."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

from implicit_sparsity.errors import InputError


def names() -> list[str]:
    """The loaders there are."""
    return sorted(path.stem for path in (Path(__file__).parent / "sources").glob("[a-z]*.py"))


def load(name: str) -> ModuleType:
    """The loader's module, or an InputError that lists the loaders there are."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name not in names():
        raise InputError(f"no loader {name!r} (there are: {', '.join(names())})", key="loader")
    return import_module(f"{__package__}.sources.{name}")
