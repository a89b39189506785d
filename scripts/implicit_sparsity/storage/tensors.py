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
PART = 2**24  # bytes read at a time where only the largest value is asked for


class Tensors:
    """Floating-point tensors of a file, or of a folder's weights (all but a stage's state), by name."""

    def __init__(self, path, shown=None):
        """``shown``: what the user calls the file, for the errors."""
        self.path, self._places = Path(path), {}
        weights = (p for p in self.path.glob("*.safetensors") if p.name != STATE)
        files = sorted(weights) if self.path.is_dir() else [self.path]
        if not files:
            raise InputError("holds no safetensors file", path=path)
        for file in files:
            start, header = _header(file, shown or file)
            self._places |= {name: (file, start, entry) for name, entry in header.items()}

    def __iter__(self):
        return iter(sorted(self._places))

    def __contains__(self, name):
        return name in self._places

    def shape(self, name) -> tuple:
        return tuple(self._places[name][2]["shape"])

    def kind(self, name) -> str:
        """The type of its numbers as the file has it, such as BF16."""
        return self._places[name][2]["dtype"]

    def largest(self, name) -> float:
        """The largest absolute value, 0.0 of an empty tensor; inf or nan where one value is not finite.

        Without the sign, the bits of floats are ordered as the floats are, and those of inf and nan follow.
        """
        file, start, entry = self._places[name]
        kind, count = entry["dtype"], math.prod(entry["shape"])
        if not count:
            return 0.0
        width = np.dtype(DTYPES[kind]).itemsize
        bits = np.memmap(file, f"<u{width}", "r", start + entry["data_offsets"][0], (count,))
        unsigned = bits.dtype.type(2 ** (8 * width - 1) - 1)
        parts = (bits[i : i + PART // width] for i in range(0, count, PART // width))
        result = np.array([max((part & unsigned).max() for part in parts)])
        if kind == "BF16":
            result, kind = result.astype(np.uint32) << 16, "F32"
        return float(result.view(DTYPES[kind])[0])

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


def _header(file, shown) -> tuple[int, dict]:
    """(where the numbers begin, {name: entry}); InputError where the file is damaged or cut short."""
    try:
        with open(file, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if length < 2**30 else None
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        wrong = [name for name, entry in header.items() if not _fits(entry)]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=shown) from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"is no safetensors file ({error})", path=shown) from None
    if Path(file).stat().st_size < 8 + length + end:
        size = Path(file).stat().st_size
        raise InputError(f"is truncated: {size} bytes, {8 + length + end} expected", path=shown)
    if wrong:
        raise InputError(f"is damaged: {wrong[0]} has not the bytes of its shape", path=shown)
    return 8 + length, header


def _fits(entry: dict) -> bool:
    """Whether a tensor has as many bytes as its shape needs; of a type that is not read nobody asks."""
    first, end = entry["data_offsets"]
    width = np.dtype(DTYPES.get(entry["dtype"], "V0")).itemsize
    return not width or (first >= 0 and end - first == width * math.prod(entry["shape"]))


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
