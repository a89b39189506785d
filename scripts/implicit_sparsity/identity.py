"""Which code and which packages are running, and one checksum for any plain value. Every job imports this."""

import hashlib
import json
import platform
import subprocess
from pathlib import Path

from .errors import InputError
from .files import read_json

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "zarr",
    "xarray",
)


def versions(packages=PACKAGES) -> dict:
    """{package: version} of what computed an artifact, Python among them."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def digest(value) -> str:
    """Hex sha256 of a plain value, key order aside."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def git_hash() -> str | None:
    """The commit of the code, or None outside a checkout."""
    return (commit() or "").removesuffix("-dirty") or None


def commit(root=ROOT) -> str | None:
    """The commit of the code, with "-dirty" behind it where tracked files were changed since.

    Of a study that was restored from an archive, what the archive says; None where nothing does.
    """
    command = ["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        if (Path(root) / ".git").exists():  # not of a repository that this folder merely lies in
            found = subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=False
            )
            return found.stdout.strip() or None
        code = read_json(Path(root) / "archive.json")["code"]
        return f"{code['commit']}-dirty" if code["dirty"] else code["commit"]
    except (OSError, InputError, KeyError, TypeError):  # no git, no archive
        return None
