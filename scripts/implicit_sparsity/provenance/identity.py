"""Which code, packages and weights made something, and one checksum for any plain value."""

import hashlib
import json
import platform
import subprocess
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json, sha256

ROOT = Path(__file__).resolve().parents[3]
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

    result = {"python": platform.python_version()}
    for package in packages:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


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
            result = subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=False
            )
            return result.stdout.strip() or None
        code = read_json(Path(root) / "archive.json")["code"]
        return f"{code['commit']}-dirty" if code["dirty"] else code["commit"]
    except (OSError, InputError, KeyError, TypeError):  # no git, no archive
        return None


def folder_digest(folder, pattern: str = "*") -> str:
    """One checksum of a folder's files that match, by name and content."""
    files = sorted(path for path in Path(folder).glob(pattern) if path.is_file())
    return digest({path.name: sha256(path) for path in files})


def stage_digest(folder) -> str:
    """The checksum of what a stage trained: its adapter, or the whole model where it left one."""
    whole = (Path(folder) / "config.json").is_file()
    return folder_digest(folder, "model*" if whole else "adapter_*")


def weights_digest(model) -> str:
    """The checksum of a prepared model's weights, from its manifest."""
    return digest(read_json(Path(model) / "manifest.json")["files"])


def attributes(title, model, name, checkpoint, options: dict, code: str, rule: str, **metadata) -> dict:
    """What a store says about itself: what was measured, on what, and the code and versions behind it.

    title: may name the model, the checkpoint and whatever ``metadata`` holds, in braces; model: a prepared
    model's folder; name: what the study calls it, where it is not the folder's name.
    """
    named = {"model": name or Path(model).name, "checkpoint": checkpoint, **metadata}
    return named | {
        "title": title.format(**named),
        "revision": read_json(Path(model) / "manifest.json")["revision"],
        "model_sha256": weights_digest(model),
        "options": options,
        "code": code,
        "versions": versions(),
        "command": f"snakemake: rule {rule}",
    }
