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
from implicit_sparsity.storage.files import link, package_file, read_json, version
from implicit_sparsity.storage.hub import Repository

from . import families, loading

NEEDED = ("config.json", "tokenizer.json")
INDEX = "model.safetensors.index.json"
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
        reported = from_hub(Path(folder), name, base, Path(downloads))
    else:
        reported = {"package": from_package, "path": from_path}[base["source"]](Path(folder), base)
    return reported


def check_shape(folder, name: str, base: dict) -> dict:
    """The shape of the model in ``folder``, from its config; InputError where ``base`` declares another."""
    families.of(read_json(Path(folder) / "config.json"), key=f"models.{name}: model_type")
    shape = loading.shape(folder)
    for key in ("layers", "width"):
        if key in base and base[key] != shape[key]:
            raise InputError(f"declared {base[key]}, the model has {shape[key]}", key=f"models.{name}.{key}")
    return shape


def check_whole(folder, base: dict) -> None:
    """InputError where a file is missing."""
    for name in NEEDED:
        if not (Path(folder) / name).is_file():
            raise InputError(f"the model has no {name}", key=base["source"])
    if not any(Path(folder).glob("*.safetensors")):
        raise InputError(
            "the model has no safetensors weights (pickled weights are refused)", key=base["source"]
        )


def from_package(folder: Path, base) -> dict:
    place = package_file(base["package"], base["file"]).parent
    network, tokenizer = loading.from_gguf(place, base["file"])
    network.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    quantization = Path(base["file"]).stem.rpartition(".")[2]
    return {
        "revision": f"{base['package']}=={version(base['package'].replace('_', '-'))}",
        "note": f"dequantized from the {quantization} GGUF file {base['file']}: not the original weights",
    }


def from_hub(folder: Path, name: str, base, downloads: Path) -> dict:
    """The small files first, so that a wrong shape or a missing shard is seen before any weights come."""
    repository = Repository(base["repo"], base["revision"], at=f"models.{name}.")
    entries = repository.files()
    if missing := [n for n in NEEDED if n not in entries]:
        raise repository.refuse(f"has no {missing[0]}")
    wanted = (INDEX, *SMALL)
    small = {n: e for n, e in entries.items() if "/" not in n and any(fnmatch(n, p) for p in wanted)}
    repository.fetch(small, downloads)
    check_shape(downloads, name, base)
    weights = {n: entries[n] for n in _weights(repository, entries, downloads)}
    repository.fetch(weights, downloads)
    for file in sorted({*small, *weights}):
        # so that a job that fails later finds them again
        link(downloads / file, folder / file, otherwise=os.rename)
    sums = {n: e.sha256 for n, e in weights.items() if e.sha256}  # each was compared with its file
    return {"revision": base["revision"], "repository": base["repo"], "files": sums}


def _weights(repository, entries, downloads: Path) -> list[str]:
    """The safetensors files that make up the model: all that its index names, or the only one."""
    if INDEX not in entries:
        if "model.safetensors" in entries:
            return ["model.safetensors"]
        pickled = sorted(n for n in entries if n.endswith((".bin", ".pt", ".pth", ".ckpt")))
        instead = f"only pickled ones, which are refused: {pickled[0]}" if pickled else "none at all"
        raise repository.refuse(f"has no safetensors weights ({instead})")
    shards = sorted(set(read_json(downloads / INDEX).get("weight_map", {}).values()))
    if missing := [n for n in shards if n not in entries or "/" in n]:
        raise repository.refuse(f"{INDEX} names {missing[0]}, which is not there ({len(missing)} missing)")
    return shards


def from_path(folder: Path, base) -> dict:
    place = Path(base["path"])
    if not (place / "config.json").is_file():
        raise InputError("has no config.json", path=place, key="path")
    for pattern in (*WEIGHTS, *SMALL):
        for file in sorted(place.glob(pattern)):
            link(file.resolve(), folder / file.name, otherwise=shutil.copyfile)  # weights may be 50 GB
    return {"revision": identity.folder_digest(folder, "*.safetensors")}
