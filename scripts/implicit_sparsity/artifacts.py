"""What every artifact says about itself: versions, checksums, commit, memory."""

from pathlib import Path

from .files import read_json, sha256
from .identity import PACKAGES, commit, digest, git_hash, versions

__all__ = ["PACKAGES", "commit", "digest", "git_hash", "versions"]


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


def attributes(title, model, name, checkpoint, options: dict, code: str, rule: str, **about) -> dict:
    """What a store says about itself: what was measured, on what, and the code and versions behind it.

    title: may name the model, the checkpoint and whatever ``about`` holds, in braces; model: a prepared
    model's folder; name: what the study calls it, where it is not the folder's name.
    """
    named = {"model": name or Path(model).name, "checkpoint": checkpoint, **about}
    return named | {
        "title": title.format(**named),
        "revision": read_json(Path(model) / "manifest.json")["revision"],
        "model_sha256": weights_digest(model),
        "options": options,
        "code": code,
        "versions": versions(),
        "command": f"snakemake: rule {rule}",
    }


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
