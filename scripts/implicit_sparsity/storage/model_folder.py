"""A model's folder before any network is made of it: its JSON files, and what its ``config.json`` alone says.

The workflow reads a folder so, too, which is why this takes the standard library alone. Whatever is wrong
ends in one line that names the file as the user knows it, and the key.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

CONFIG, TOKENIZER, MANIFEST = "config.json", "tokenizer.json", "manifest.json"
NEEDED = (CONFIG, TOKENIZER)
# beginnings of small files that stand for large ones, and what fetches these
POINTERS = {
    b"version https://git-lfs": ("Git LFS", "git lfs pull"),
    b"# xet version": ("Xet", "git xet checkout, or fetch the repository again"),
    b"/annex/objects/": ("git-annex", "git annex get ."),
}
# keys and files by which quantized checkpoints are known: gptq, awq, fp8, compressed-tensors, mxfp4, MLX, ...
QUANTIZED = ("quantization_config", "compression_config", "quantization")
QUANTIZED_FILES = (
    "quantize_config.json",
    "quant_config.json",
    "hf_quant_config.json",
    "quanto_qmap.json",
    "qmodel.json",
)
LANGUAGE_MODEL = re.compile(r"\w+(ForCausalLM|ForConditionalGeneration|LMHeadModel)|((?!For)\w)+Model")
EXTENDED = ("linear", "yarn")  # rotary scalings whose factor is on top of the trained length
# rotary scalings of which transformers takes other frequencies once the longest document of a batch is longer
SWITCHED = ("dynamic", "longrope")


@dataclass(frozen=True)
class ModelFolder:
    """``path``: where the files lie. ``shown``: what the user calls the folder, a path or a repository.
    ``key``: of the config, which names it."""

    path: Path
    shown: str = ""
    key: str | None = None

    def refuse(self, message: str, file: str = "", key: str | None = None) -> InputError:
        """The error for a file of the folder and a key or tensor in it, or for the folder."""
        where = self.where(file) if file else self.shown or self.path
        return InputError(message, path=where, key=key or (None if file else self.key))

    def where(self, file: str) -> str:
        """What the user calls a file of the folder."""
        return f"{self.shown or self.path}/{file}"

    def names(self) -> set[str]:
        """Names in the folder; InputError where it is no folder that can be read."""
        try:
            return set(os.listdir(self.path))
        except OSError as error:
            raise self.refuse(f"is not a folder that can be read: {error.strerror}") from None

    def check_file(self, name: str) -> None:
        """InputError for a link that leads nowhere, what is no file, what is empty, and a pointer."""
        path = Path(self.path) / name
        if path.is_symlink() and not path.exists():
            raise self.refuse(f"is a link to {os.readlink(path)}, which is not there", name)
        try:
            size = path.stat().st_size
            with open(path, "rb") as file:
                head = file.read(100)
        except OSError as error:
            raise self.refuse(f"cannot be read: {error.strerror}", name) from None
        if not size:
            raise self.refuse("is empty", name)
        for mark, (system, command) in POINTERS.items():
            if head.startswith(mark):
                raise self.refuse(
                    f"is a pointer of {system}, not the file itself: run `{command}` there", name
                )

    def json(self, name: str) -> dict:
        """The mapping in a JSON file."""
        self.check_file(name)
        try:
            value = json.loads((Path(self.path) / name).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self.refuse(f"is not JSON: {error}", name) from None
        if not isinstance(value, dict):
            raise self.refuse("is not a JSON object", name)
        return value

    def config(self, needed=NEEDED) -> dict:
        """What ``config.json`` holds, once ``check_names`` and ``check_config`` have nothing against it."""
        check_names(self, self.names(), needed)
        content = self.json(CONFIG)
        check_config(self, content)
        return content


def check_names(folder: ModelFolder, names, needed=NEEDED) -> None:
    """InputError where the names of a model's files say that it cannot be studied."""
    for name in needed:
        if name not in names:
            raise folder.refuse(f"has no {name}{_instead(name, names)}")
    if quantized := sorted(names & set(QUANTIZED_FILES)):
        raise folder.refuse(f"{UNQUANTIZED} (this file is of a quantized one)", quantized[0])


def _instead(needed: str, names) -> str:
    """What is there instead of a file that is needed."""
    others = [name for name in sorted(names) if name.lower() == needed]
    if others:
        return f" (it has {others[0]}: case counts)"
    if needed == CONFIG and "adapter_config.json" in names:
        return " (an adapter: a study needs the whole model, with the adapter merged into it)"
    if needed == CONFIG and any(name.endswith(".gguf") for name in names):
        return " (a GGUF file is read of an installed package alone: source: package)"
    pieces = [name for name in sorted(names) if name.endswith((".model", ".tiktoken", "vocab.json"))]
    if needed == TOKENIZER and pieces:
        return f" (only {pieces[0]}: save it as a fast tokenizer first, by transformers' save_pretrained)"
    return ""


UNQUANTIZED = "a study needs weights that nobody has quantized, in float32, bfloat16 or float16"


def check_config(folder: ModelFolder, config: dict) -> None:
    """InputError for a configuration of which no language model can be made, or not the one that is meant."""
    text = text_of(config)
    for key in QUANTIZED:
        for about in (config.get(key), text.get(key)):
            if about is not None:
                words = "models.*.quantization: int8 or nf4 quantizes them as they are loaded"
                raise folder.refuse(f"is quantized ({_method(about)}); {UNQUANTIZED}; {words}", CONFIG, key)
    architectures = config.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise folder.refuse("is no list of names", CONFIG, "architectures")
    if architectures and not any(LANGUAGE_MODEL.fullmatch(name) for name in architectures):
        raise folder.refuse(f"{architectures[0]} is no language model", CONFIG, "architectures")
    _check_remote_code(folder, config)


def _check_remote_code(folder: ModelFolder, config: dict) -> None:
    """Code of the repository's own might compute something else than transformers does, and is never run.

    Repositories of Phi-3 or DeepSeek-V3 have the code that transformers took over: it goes by the very name
    of the class there, and says nothing.
    """
    mapped = config.get("auto_map") or {}
    places = mapped if isinstance(mapped, dict) else {"AutoModel": mapped}
    models = {auto: place for auto, place in places.items() if auto.startswith("AutoModel")}
    place = str(models.get("AutoModelForCausalLM") or next(iter(models.values()), ""))
    name, native = place.rpartition(".")[2], f"{config.get('model_type')}ForCausalLM"
    if place and name.replace("_", "").lower() != native.replace("_", "").lower():
        words = f"{place} is code of the repository's own, which is never run (trust_remote_code stays off)"
        raise folder.refuse(words, CONFIG, "auto_map")


def _method(about) -> str:
    """What quantized a checkpoint, from its settings."""
    about = about if isinstance(about, dict) else {}
    known = about.get("quant_method") or about.get("quant_algo") or about.get("format")
    bits = about.get("bits") or next((n for n in (4, 8) if about.get(f"load_in_{n}bit")), None)
    return str(known or (f"{bits} bits" if bits else "no method is named"))


def text_of(config: dict) -> dict:
    """The configuration of the text model, in a vision-language one as in a plain one."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def rows(config: dict) -> int | None:
    """Rows of the embedding; None where the configuration leaves them to its class."""
    return _count(text_of(config).get("vocab_size"))


def positions(config: dict) -> int | None:
    """The longest sequence that a model was made for, in tokens; None where its configuration has no such
    number.

    A rotary scaling goes beyond the trained length: of the two readings that are in use, the number given or
    the trained one times the factor, the larger counts. One that is SWITCHED ends where its frequencies
    change: beyond, the numbers of a document depend on the others of its batch. A sliding window is no limit:
    what lies behind it is not seen, and positions go on.
    """
    text = text_of(config)
    declared = _count(text.get("max_position_embeddings"))
    if declared is None:
        return None
    scalings = _scalings(text)
    switches = [_switch(each, text, declared) for each in scalings if _kind(each) in SWITCHED]
    longest = max([declared, *(_extended(each, text, declared) for each in scalings)])
    return min([longest, *switches])


def bound(config: dict) -> str:
    """Which key ``positions`` is by, in words for who would go beyond."""
    kinds = [kind for each in _scalings(text_of(config)) if (kind := _kind(each)) in SWITCHED]
    if not kinds:
        return "max_position_embeddings"
    return f"rope_type {kinds[0]}: beyond, frequencies change with the longest document of a batch"


def _scalings(text: dict) -> list[dict]:
    """The rotary scalings: one for all layers, or one a kind of layer."""
    scalings = text.get("rope_parameters") or text.get("rope_scaling") or {}
    scalings = scalings if isinstance(scalings, dict) else {}
    return [each for each in scalings.values() if isinstance(each, dict)] or [scalings]


def _kind(scaling: dict):
    return scaling.get("rope_type", scaling.get("type"))


def _switch(scaling: dict, text: dict, declared: int) -> int:
    """The most positions before the frequencies change: transformers takes the declared ones of ``dynamic``,
    and the configuration's own original ones before those of the scaling."""
    originals = [_count(each.get("original_max_position_embeddings")) for each in (text, scaling)]
    trained = next(filter(None, originals), declared)
    return min(trained, declared) if _kind(scaling) == "longrope" else declared


def _extended(scaling: dict, text: dict, declared: int) -> int:
    factor, kind = scaling.get("factor"), _kind(scaling)
    original = _count(scaling.get("original_max_position_embeddings"))
    original = original or _count(text.get("original_max_position_embeddings"))
    if not isinstance(factor, int | float) or kind in (None, "default"):
        return declared
    return int(factor * (original or (declared if kind in EXTENDED else 0)))


def _count(value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def limits(folder) -> tuple[int | None, int | None]:
    """(positions, rows of the embedding) of a prepared model: from its manifest, else from its config.json;
    None where neither says."""
    folder = ModelFolder(Path(folder))
    names = folder.names()
    examined = (folder.json(MANIFEST) if MANIFEST in names else {}).get("examined")
    if examined:
        return examined["positions"], examined["embedding_rows"]
    config = folder.json(CONFIG) if CONFIG in names else {}
    return positions(config), rows(config)
