"""A trained checkpoint as a plain model folder, which transformers alone loads.

An adapter is merged, W + dW, fused experts too, in float32 whatever the base's precision: a small update
added to a bfloat16 weight would be rounded away. A stage that left a whole model is copied as it is, and so
is the base model. The tokenizer is the base's. Memory: 4 bytes a weight of the base, once.
"""

import gc
import shutil
from fnmatch import fnmatch
from pathlib import Path

import torch

from implicit_sparsity.errors import InputError

from . import adapters, forward, loading, sources

TOKENS = (2, 16)  # of the check: rows of random ids
TOLERANCE = 1e-3  # largest difference of a logit, of the largest logit; rounding to float32 leaves 1e-5


def write(folder, model, base: dict, name: str, adapter=None) -> dict:
    """Fill ``folder`` with the checkpoint: {form, and of a merged one the logits' largest difference}.

    ``model``: a prepared model's folder; ``base``: the config entry of the model ``name``; ``adapter``: a
    stage's folder, None for the base model. InputError where merging is not defined.
    """
    if base.get("quantization", "none") != "none":
        raise InputError(
            "what was trained beside quantized weights cannot be merged into them: the sum is no such weight",
            key=f"models.{name}.quantization",
        )
    _copy(model, folder, sources.SMALL)
    if adapter is None or adapters.is_whole(adapter):
        _copy(adapter or model, folder, (*sources.WEIGHTS, "config.json"))
        return {"form": "copied", "precision": base.get("precision", "fp32")}
    return {"form": "merged", "precision": "fp32"} | _merge(folder, model, base, adapter)


def _copy(source, folder, patterns) -> None:
    """Files of one folder into another, but for a stage's state."""
    for path in sorted(Path(source).iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in patterns) and path.name != "state.safetensors":
            shutil.copyfile(path, Path(folder) / path.name)


def _merge(folder, model, base: dict, adapter) -> dict:
    """Write base and adapter as one, and compare what is on disk with the two of them, unmerged."""
    stored = loading.load(model, device="cpu", **loading.settings(base)).float()  # bf16: as it was trained on
    network = adapters.add_adapter(stored, adapter).eval()
    expected = logits(network)
    loading.save(network.merge_and_unload(), folder, "fp32")
    _copy(model, folder, (loading.GENERATION,))
    del network, stored
    gc.collect()  # the two are never in memory together
    result = logits(loading.load(folder, device="cpu"))
    difference, largest = float((result - expected).abs().max()), float(expected.abs().max())
    if not difference <= TOLERANCE * largest:
        raise RuntimeError(f"merged logits differ by {difference:.2e}, the largest is {largest:.2e}")
    return {"logits_largest_difference": difference, "logits_largest": largest}


def logits(model):
    """Of fixed random token ids, [B, S, V]."""
    network = forward.base_network(model)
    vocabulary = network.config.get_text_config().vocab_size
    ids = torch.randint(0, vocabulary, TOKENS, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return network(input_ids=ids).logits


def card(manifest: dict) -> str:
    """A model card: what this is, where it comes from, how to load it."""
    base, form, study = manifest["base"], manifest["form"], manifest["study"]
    trained = ", ".join(study["trained_domains"]) if study else "nothing: the base model as it was prepared"
    warmed = "+format_warmup-" in base["revision"]
    note = " (with the study's format warm-up in its weights)" if warmed else ""
    how = {
        "merged": "an adapter added into the base's weights, in float32",
        "copied": "the weights as the checkpoint has them",
    }[form]
    return f"""---
library_name: transformers
base_model: {base["name"]}
---
# {manifest["name"]}

* base model: {base["name"]} at revision {base["revision"]}{note}
* trained on, one after another: {trained}
* form: {how}

`manifest.json` has checksums, versions and the stage's record. The base model's licence holds.

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained("path/of/this/folder")
    tokenizer = AutoTokenizer.from_pretrained("path/of/this/folder")
"""
