"""Tensors of safetensors files as NumPy: for jobs without torch, and for bfloat16, which NumPy lacks.

A file is 8 bytes of length, a JSON header of that length (name -> dtype, shape, offsets), and the numbers.
They are memory-mapped: one tensor at a time is read, of a model of any size.
"""

import json
import math
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError

STATE = "state.safetensors"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Tensors:
    """Floating-point tensors of a file, or of a folder's weights (all but a stage's state), by name."""

    def __init__(self, path):
        self.path, self._places = Path(path), {}
        weights = (p for p in self.path.glob("*.safetensors") if p.name != STATE)
        files = sorted(weights) if self.path.is_dir() else [self.path]
        if not files:
            raise InputError("holds no safetensors file", path=path)
        for file in files:
            start, header = _header(file)
            self._places |= {name: (file, start, entry) for name, entry in header.items()}

    def __iter__(self):
        return iter(sorted(self._places))

    def __contains__(self, name):
        return name in self._places

    def shape(self, name) -> tuple:
        return tuple(self._places[name][2]["shape"])

    def __getitem__(self, name) -> np.ndarray:
        """The tensor, float32 or as it stands (float64); InputError where a value is not finite."""
        return self.part(name, ())

    def part(self, name, index) -> np.ndarray:
        """``self[name][index]``, only what is indexed being read."""
        file, start, entry = self._places[name]
        kind, shape = entry["dtype"], tuple(entry["shape"])
        if kind not in DTYPES:
            raise InputError(f"{name} is of type {kind}, not one of {', '.join(DTYPES)}", path=file)
        if not math.prod(shape):  # what is empty cannot be mapped
            return np.zeros(shape, np.float32)[index]
        mapped = np.memmap(file, np.dtype(DTYPES[kind]), "r", start + entry["data_offsets"][0], shape)
        values = np.asarray(mapped[index])
        if kind == "BF16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        values = values if kind == "F64" else values.astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{name} is not finite", path=file)
        return values


def _header(file) -> tuple[int, dict]:
    """(where the numbers begin, {name: entry}); InputError where the file is damaged or cut short."""
    try:
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if length < 2**30 else None
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=file) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"is no safetensors file ({error})", path=file) from None
    if file.stat().st_size < 8 + length + end:
        raise InputError(f"is truncated: {file.stat().st_size} bytes, {8 + length + end} expected", path=file)
    return 8 + length, header


def save_state(folder, tensors: dict) -> None:
    """Write tensors (CPU, contiguous) to ``folder``; a tensor that stands under several names is written
    once."""
    from safetensors.torch import save_file

    first, aliases, unique = {}, {}, {}
    for name, tensor in sorted(tensors.items()):
        key = id(tensor)
        if key in first:
            aliases[name] = first[key]
        else:
            first[key] = name
            unique[name] = tensor.detach().cpu().contiguous()
    save_file(unique, str(Path(folder) / STATE), metadata={"aliases": json.dumps(aliases, sort_keys=True)})


def load_state(folder) -> dict:
    """The tensors that ``save_state`` wrote; {} where a stage left none. InputError for a damaged file."""
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / STATE
    if not path.is_file():
        return {}
    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
    except SafetensorError as error:
        raise InputError(f"is damaged ({error}); delete its folder and run again", path=path) from error
    return tensors | {name: tensors[target] for name, target in aliases.items()}
