"""From a config entry to a model folder: config.json, safetensors, tokenizer and a manifest. One function a
source.

package   a GGUF file inside an installed Python package, dequantized
hub       a repository of the Hugging Face hub at a pinned commit
path      a folder on this machine
"""

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import identity
from implicit_sparsity.storage.files import link, package_file, version
from implicit_sparsity.storage.hub import Repository
from implicit_sparsity.storage.model_folder import ModelFolder, check_names

from . import examining, loading, weight_files

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
SMALL = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "vocab*",
    "merges.txt",
)


def prepare(folder, name: str, base: dict, downloads=None) -> dict:
    """Fill ``folder`` from the entry ``base`` of the model ``name``; returns what the source says of itself:
    revision, notes and, where they are known, checksums. ``downloads``: for a hub model, a folder on the same
    disk that outlives a failed job."""
    if base["source"] == "hub":
        return from_hub(Path(folder), name, base, Path(downloads))
    return {"package": from_package, "path": from_path}[base["source"]](Path(folder), name, base)


def as_given(folder, name: str, base: dict) -> ModelFolder:
    """``folder`` under the name that the user gave the model ``name``: a path, a repository, a file of a
    package, or the entry itself."""
    names = {
        "hub": lambda: (f"{base['repo']}@{base['revision']}", "repo"),
        "package": lambda: (f"{base['package']}/{base['file']}", "file"),
        "path": lambda: (base["path"], "path"),
        "scratch": lambda: (f"models.{name}", "config"),
    }
    shown, key = names[base["source"]]()
    return ModelFolder(Path(folder), shown, f"models.{name}.{key}")


def revision(sums: dict) -> str:
    """One checksum of a model's weights, from its files' checksums."""
    return identity.digest({name: total for name, total in sums.items() if name.endswith(".safetensors")})


def check_shape(folder, name: str, base: dict) -> dict:
    """The shape of the model in ``folder``, from its config; InputError where ``base`` declares another."""
    shape = loading.shape(folder)
    for key in ("layers", "width"):
        if key in base and base[key] != shape[key]:
            raise InputError(f"declared {base[key]}, the model has {shape[key]}", key=f"models.{name}.{key}")
    return shape


def from_package(folder: Path, name: str, base) -> dict:
    path = package_file(base["package"], base["file"])
    network, tokenizer = loading.from_gguf(path.parent, path.name)
    network.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    quantization = Path(base["file"]).stem.rpartition(".")[2]
    return {
        "revision": f"{base['package']}=={version(base['package'].replace('_', '-'))}",
        "note": f"dequantized from the {quantization} GGUF file {base['file']}: not the original weights",
    }


def from_hub(folder: Path, name: str, base, downloads: Path) -> dict:
    """The small files first, so that what they are examined for, a wrong shape or a missing shard is seen
    before any weights come."""
    repository = Repository(base["repo"], base["revision"], at=f"models.{name}.")
    here, entries = as_given(downloads, name, base), repository.files()
    check_names(here, entries.keys())
    wanted = (weight_files.INDEX, *SMALL)
    small = {n: e for n, e in entries.items() if "/" not in n and any(fnmatch(n, p) for p in wanted)}
    repository.fetch(small, downloads)
    examining.small_files(here)
    check_shape(downloads, name, base)
    weights = {n: entries[n] for n in weight_files.named(here, entries)}
    repository.fetch(weights, downloads)
    for file in sorted({*small, *weights}):
        # so that a job that fails later finds them again
        link(downloads / file, folder / file, otherwise=os.rename)
    sums = {n: e.sha256 for n, e in weights.items() if e.sha256}  # each was compared with its file
    return {"revision": base["revision"], "repository": base["repo"], "files": sums}


def from_path(folder: Path, name: str, base) -> dict:
    """Second names of the files that make up the model: the user's own are never changed."""
    given = as_given(base["path"], name, base)
    given.config()
    names = given.names()
    weights = weight_files.named(given, names)
    wanted = (weight_files.INDEX, *SMALL)
    for file in sorted({*weights, *(n for n in names if any(fnmatch(n, p) for p in wanted))}):
        given.check_file(file)
        link((given.path / file).resolve(), folder / file, otherwise=shutil.copyfile)  # may be 50 GB
    return {}
