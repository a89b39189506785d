"""What every artifact says about itself: versions, checksums, commit, memory."""

import hashlib
import json
import platform
import subprocess
from pathlib import Path

from .files import sha256

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


def folder_digest(folder, pattern: str = "*") -> str:
    """One checksum of a folder's files that match, by name and content."""
    files = sorted(path for path in Path(folder).glob(pattern) if path.is_file())
    return digest({path.name: sha256(path) for path in files})


def stage_digest(folder) -> str:
    """The checksum of what a stage trained: its adapter, or the whole model where it left one."""
    whole = (Path(folder) / "config.json").is_file()
    return folder_digest(folder, "model*" if whole else "adapter_*")


def git_hash() -> str | None:
    """The commit of the code, or None outside a checkout."""
    here = Path(__file__).parent
    found = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, and on a GPU its largest allocation, in MiB."""
    import resource

    import torch

    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else host


def progress(what: str):
    """A tqdm over an iterable on a terminal, the iterable itself elsewhere."""
    import sys

    if not sys.stderr.isatty():
        return iter
    from tqdm import tqdm

    return lambda items: tqdm(items, desc=what, leave=False)
