"""An archive back into a folder: checked whole first, then written under another name, then renamed."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from implicit_sparsity.errors import InputError

from . import reading
from .layout import ENDINGS


def folder_for(archive, into=None) -> Path:
    """Where an archive goes: ``into``, or a folder of its name here; InputError where something is there."""
    name = Path(archive).name
    stem = next((name.removesuffix(end) for end in ENDINGS if name.endswith(end)), f"{name}.restored")
    folder = Path(into or stem)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is there already, and not empty: name another with INTO=", path=folder)
    return folder


def restore(archive, into=None, progress=iter) -> tuple[Path, dict]:
    """Restore ``archive``; (the folder, archive.json). Nothing is written before all of it was checked."""
    folder = folder_for(archive, into)
    result = reading.survey(archive)
    parent = _existing(folder.absolute().parent)
    if result.bytes > shutil.disk_usage(parent).free:
        raise InputError(f"needs {result.bytes} bytes, the disk of {parent} has not as many", path=archive)
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, executable, seconds in progress(walk := reading.Walk(archive)):
            with _reported(folder / name):
                _write(partial / name, walk.content(), executable, seconds)
        with _reported(folder):
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder, result.metadata


def _write(path: Path, blocks, executable: bool, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as file:
        for block in blocks:
            file.write(block)
    os.chmod(path, 0o755 if executable else 0o644)
    os.utime(path, (seconds, seconds))


@contextmanager
def _reported(path):
    """A disk that is full or a folder that is another's ends in one line."""
    try:
        yield
    except (OSError, OverflowError) as error:  # the latter of a time that no clock has
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be written: {why}; nothing was restored", path=path) from error


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
