"""From a config entry to a model folder: config.json, safetensors, tokenizer and a manifest. One function a
source.

package   a GGUF file inside an installed Python package, dequantized
hub       a repository of the Hugging Face hub at a pinned commit
path      a folder on this machine
scratch   a configuration, initialised and pre-trained here on the training splits
"""

import os
import shutil
from pathlib import Path

from . import artifacts
from .errors import InputError
from .files import package_file, version

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
SMALL = (
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "vocab*",
    "merges.txt",
)


def prepare(folder, base: dict, splits=(), template=None) -> dict:
    """Fill ``folder`` from the entry ``base``; returns what the source says of itself: revision and notes."""
    sources = {"package": from_package, "hub": from_hub, "path": from_path, "scratch": from_scratch}
    said = sources[base["source"]](Path(folder), base, splits, template or {})
    for name in ("config.json", "tokenizer.json"):
        if not (Path(folder) / name).is_file():
            raise InputError(f"the model has no {name}", key=base["source"])
    if not any(Path(folder).glob("*.safetensors")):
        raise InputError(
            "the model has no safetensors weights (pickled weights are refused)", key=base["source"]
        )
    return said


def from_package(folder: Path, base, splits, template) -> dict:
    from . import models

    place = package_file(base["package"], base["file"]).parent
    network, tokenizer = models.from_gguf(place, base["file"])
    network.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    quantization = Path(base["file"]).stem.rpartition(".")[2]
    return {
        "revision": f"{base['package']}=={version(base['package'].replace('_', '-'))}",
        "note": f"dequantized from the {quantization} GGUF file {base['file']}: not the original weights",
    }


def from_hub(folder: Path, base, splits, template) -> dict:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(
            base["repo"], revision=base["revision"], local_dir=folder, allow_patterns=[*WEIGHTS, *SMALL]
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(f"{base['repo']}@{base['revision']}: {error}", key="repo") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return {"revision": base["revision"], "repository": base["repo"]}


def from_path(folder: Path, base, splits, template) -> dict:
    place = Path(base["path"])
    if not (place / "config.json").is_file():
        raise InputError("has no config.json", path=place, key="path")
    for pattern in (*WEIGHTS, *SMALL):
        for file in sorted(place.glob(pattern)):
            _link(file, folder / file.name)
    return {"revision": artifacts.folder_digest(folder, "*.safetensors")}


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system has them (weights may be 50 GB), else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def from_scratch(folder: Path, base, splits, template) -> dict:
    from . import models
    from .pretraining import pretrain, train_tokenizer

    texts = [f"{r['prompt']}\n{r['completion']}" for r in _training_records(splits)]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = train_tokenizer(texts, base["vocabulary"], specials)
    end = tokenizer.token_to_id("<|im_end|>")
    config = {"vocab_size": tokenizer.get_vocab_size(), "eos_token_id": end, "pad_token_id": end} | base[
        "config"
    ]
    network = models.create(config, base["seed"])
    losses = pretrain(network, tokenizer, _training_records(splits), template, base)
    network.save_pretrained(str(folder))
    models.save_tokenizer(tokenizer, folder, "<|im_end|>")
    return {
        "revision": f"scratch-{artifacts.folder_digest(folder, '*.safetensors')[:12]}",
        "note": f"pre-trained from scratch on the training splits for {len(losses)} steps",
        "pretraining_loss": [losses[0], losses[-1]],
    }


def _training_records(splits) -> list[dict]:
    """The training documents of every domain, in the order of the config."""
    import json

    records = []
    for folder in splits:
        with open(Path(folder) / "train.jsonl", encoding="utf-8") as file:
            records += [json.loads(line) for line in file]
    return records
