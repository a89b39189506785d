"""Which files of a model are its weights, and whether their headers and the index agree.

A header has name, type and shape of each tensor, so all but the numbers is known after a few kilobytes.
"""

from collections.abc import Iterable

from implicit_sparsity.storage.model_folder import ModelFolder
from implicit_sparsity.storage.tensors import DTYPES, Tensors

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")


def named(folder: ModelFolder, names: Iterable[str]) -> list[str]:
    """The safetensors files that make up the model, of the ``names`` there are: all that its index names, or
    the only one. ``folder``: where the index lies.

    What else is there, such as consolidated.safetensors or shards of an earlier save, is no part of it.
    InputError where nothing is, something is missing, or two sets could be meant.
    """
    names = set(names)
    if INDEX not in names:
        if SINGLE in names:
            return [SINGLE]
        raise folder.refuse(f"has no safetensors weights ({_instead(names)})")
    mapped = folder.json(INDEX).get("weight_map")
    if not isinstance(mapped, dict) or not mapped or not all(isinstance(n, str) for n in mapped.values()):
        raise folder.refuse("names no files of weights", INDEX, "weight_map")
    shards = sorted(set(mapped.values()))
    if missing := [name for name in shards if name not in names or "/" in name]:
        words = f"{INDEX} names {missing[0]}, which is not there ({len(missing)} missing)"
        raise folder.refuse(words)
    if SINGLE in names and SINGLE not in shards:
        words = f"are both there, two sets of weights: {SINGLE} is none of its files; keep one of the two"
        raise folder.refuse(f"{INDEX} and {SINGLE} {words}")
    return shards


def _instead(names) -> str:
    """What is there where weights should be."""
    safetensors = sorted(name for name in names if name.endswith(".safetensors"))
    if any("-of-" in name for name in safetensors):
        return f"{safetensors[0]} and others, but no {INDEX}"
    if safetensors:
        return f"only {safetensors[0]}, and {SINGLE} is what is read"
    pickled = sorted(name for name in names if name.endswith(PICKLED))
    return f"only pickled ones, which are refused: {pickled[0]}" if pickled else "none at all"


def check_headers(folder: ModelFolder, files: list[str]) -> dict[str, Tensors]:
    """{file: its tensors}; InputError for a damaged file, a type that is no plain number's, or an index that
    the headers do not bear out."""
    opened: dict[str, Tensors] = {}
    places: dict[str, str] = {}
    for file in files:
        folder.check_file(file)
        opened[file] = Tensors(folder.path / file, folder.where(file))
        for name in opened[file]:
            if name in places:
                raise folder.refuse(f"stands in {places[name]}, too", file, name)
            places[name] = file
            _check_type(folder, file, name, opened[file].kind(name))
    if not places:
        raise folder.refuse("holds no tensor", files[0])
    mapped = folder.json(INDEX)["weight_map"] if INDEX in folder.names() else {}
    for name, file in mapped.items():
        if places.get(name) != file:
            raise folder.refuse(f"{file} does not hold it", INDEX, f"weight_map.{name}")
    return opened


def _check_type(folder, file, name, kind) -> None:
    """Quantized weights are integers or short floats; buffers, such as position_ids, may be integers."""
    last = name.rsplit(".", 2)[-2:]
    weight = any(word in part for part in last for word in ("weight", "proj", "experts"))
    if kind not in DTYPES and (weight or kind.startswith("F")):
        words = f"is of type {kind}, not {', '.join(DTYPES)}: quantized weights cannot be studied"
        raise folder.refuse(words, file, name)
