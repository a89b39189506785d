"""Files that are either complete or not there: written under a temporary name, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from implicit_sparsity.errors import InputError


def sha256(path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path):
    """The value in a JSON file, or an InputError naming the file."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", path) from None


def write_json(path, value):
    """Write ``value`` indented, keys in the order given, ending in a newline; whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path, text: str):
    """Write a text as it is, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_file(path, shared: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends without an error.

    ``shared``: other processes, on any machine, may make the same file at the same time.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{os.uname().nodename}-{os.getpid()}-" if shared else ""
    temporary = path.with_name(f".partial-{own}{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path) -> Iterator[Path]:
    """The same for a folder; what was at ``path`` is replaced."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link(source, target, otherwise=None) -> None:
    """A second name for the same bytes. ``otherwise(source, target)`` where the file system has no hard links
    (``shutil.copyfile``, ``os.rename``); without it that is an OSError."""
    try:
        os.link(source, target)
    except OSError:
        if otherwise is None:
            raise
        otherwise(source, target)


def is_inside(name: str) -> bool:
    """Whether a relative path, by its parts, stays in the folder that it is relative to."""
    path = PurePath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def package_file(package: str, *parts: str) -> Path:
    """A data file inside an installed package, found without importing it (imports can take seconds).

    Raises InputError where package or file are not installed, and where the file is outside the package: an
    absolute path, one with "..", a link that leads out.
    """
    from importlib.util import find_spec

    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package {package!r} is not installed; run `make` to install the locked set")
    folder = Path(spec.submodule_search_locations[0])
    path = folder.joinpath(*parts)
    if not all(map(is_inside, parts)) or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"is not inside the package {package!r}", "/".join(parts))
    if not path.is_file():
        raise InputError(f"package {package!r} does not ship this file", path)
    return path


def version(distribution: str) -> str:
    """Version of an installed distribution; InputError where there is none."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed(distribution)
    except PackageNotFoundError:
        raise InputError(f"package {distribution!r} is not installed") from None
