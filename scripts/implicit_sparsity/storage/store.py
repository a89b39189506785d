"""Zarr v3 stores of measurements: the only module that knows Zarr.

A store is a folder that ``xarray.open_zarr`` opens as it is: named dimensions, coordinates, ``long_name``
and ``units`` on every variable, consolidated metadata. It is written to a temporary sibling and renamed, so
a path holds a complete store or nothing. Every chunk carries a CRC-32C and is written even where it is all
zeros: a chunk that is missing, cut short or altered is then an error and not silently a fill value.
"""

import json
import warnings
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError

from .files import new_folder

# What a coordinate given as a plain array lies along, and means: name -> (dimension, long_name, units).
COORDINATES = {
    "half": ("half", "disjoint half of the domain's documents", "1"),
    "layer": ("layer", "index of the decoder layer, from 0", "1"),
    "neuron": ("neuron", "index of the feed-forward neuron in its layer", "1"),
    "expert": ("neuron", "routed expert of the neuron, -1 for the shared expert", "1"),
    "unit": ("neuron", "index of the neuron in its expert", "1"),
    "expert_id": ("expert_id", "index of the routed expert", "1"),
    "top_k": ("top_k", "size of the token's top set, as the config gives it", "share (< 1) or count"),
    "threshold": ("threshold", "threshold as a share of the token's largest |h|", "1"),
    "group": ("group", "whole groups of documents within the half", "1"),
    "bin": ("bin", "lower edge of the bin of |h|", "activation"),
}
CHUNK_BYTES = 16 * 2**20  # a chunk is at most about this large; split along `layer` only


def write_store(path, arrays: dict, coords: dict, attrs: dict) -> Path:
    """Write arrays as one Zarr v3 store at ``path``, atomically; equal input gives equal bytes.

    arrays: name -> (dims, array, {"long_name": ..., "units": ...}); coords: name -> array (its dimension
    and meaning from COORDINATES) or a triple as in ``arrays``; attrs: JSON values of the whole store.
    Raises ValueError for a variable without long_name and units or whose shape is not that of its dimensions.
    """
    import xarray as xr
    import zarr

    path = Path(path)
    dataset = xr.Dataset(
        {name: _variable(name, *entry) for name, entry in sorted(arrays.items())},
        coords={
            name: _variable(name, *(entry if isinstance(entry, tuple) else _coordinate(name, entry)))
            for name, entry in sorted(coords.items())
        },
        attrs={key: attrs[key] for key in sorted(attrs)},
    )
    encoding = {name: _encoding(variable) for name, variable in dataset.variables.items()}
    every_chunk = zarr.config.set({"array.write_empty_chunks": True})
    with new_folder(path) as partial, warnings.catch_warnings(), every_chunk:
        # zarr says that consolidated metadata is not yet in the v3 text; every reader in use understands it.
        warnings.filterwarnings("ignore", module="zarr")
        dataset.to_zarr(partial, mode="w", zarr_format=3, consolidated=True, encoding=encoding)
        _sort_metadata(partial)
    return path


LAZY = ("group_sum_abs",)  # as large as the rest times the groups: read by layer, where it is used


def open_store(path, variables=None, optional=()):
    """The store at ``path`` as an ``xarray.Dataset``, every chunk read checked against its CRC; in memory,
    but for the variables in LAZY.

    variables: names to read, with their coordinates (default all); optional: more of them, where the store
    has them. Raises InputError for a missing, cut short or altered store, and for a variable that it does
    not hold.
    """
    import xarray as xr

    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise InputError("not a Zarr v3 store (zarr.json is missing)", path=path)
    try:
        dataset = xr.open_zarr(path, consolidated=True, chunks=None)
    except Exception as error:
        raise InputError(f"the store is damaged ({type(error).__name__}: {error})", path=path) from error
    if variables is not None:
        absent = sorted(set(variables) - set(dataset.variables))
        if absent:
            held = ", ".join(sorted(dataset.data_vars))
            raise InputError(f"the store has no {', '.join(absent)}; it has {held}", path=path)
        dataset = dataset[[*variables, *(name for name in optional if name in dataset.variables)]]
    for name in dataset.variables:
        _check_chunks(path, name)
    try:
        for name in set(dataset.variables) - set(LAZY):
            dataset[name].load()
        return dataset
    except Exception as error:
        raise InputError(f"the store is damaged ({type(error).__name__}: {error})", path=path) from error


def layer_of(dataset, name: str, layer: int):
    """One layer of a variable in LAZY, by its position; InputError where the store is damaged there."""
    try:
        return dataset[name].isel(layer=layer).load()
    except Exception as error:
        path = dataset.encoding.get("source")
        raise InputError(f"the store is damaged ({type(error).__name__}: {error})", path=path) from error


def _coordinate(name, array):
    if name not in COORDINATES:
        raise ValueError(f"{name}: give a coordinate that is not in COORDINATES as (dims, array, attrs)")
    dimension, long_name, units = COORDINATES[name]
    return (dimension,), array, {"long_name": long_name, "units": units}


def _variable(name, dims, array, attrs):
    array = np.asarray(array)
    if array.ndim != len(dims):
        raise ValueError(f"{name}: {array.ndim} dimensions, but the names {tuple(dims)}")
    missing = {"long_name", "units"} - set(attrs)
    if missing:
        raise ValueError(f"{name}: attributes without {', '.join(sorted(missing))}")
    return tuple(dims), array, dict(attrs)


def _encoding(variable) -> dict:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    chunks = list(variable.shape)
    if "layer" in variable.dims and variable.nbytes > CHUNK_BYTES:
        axis = variable.dims.index("layer")
        chunks[axis] = max(1, int(chunks[axis] * CHUNK_BYTES / variable.nbytes))
    chunks = tuple(max(1, chunk) for chunk in chunks)
    encoding = {"compressors": [ZstdCodec(level=3), Crc32cCodec()], "chunks": chunks}
    if variable.dtype.kind == "f":
        encoding["_FillValue"] = None  # NaN stays NaN; nothing is masked on reading
    return encoding


def _check_chunks(path: Path, name: str) -> None:
    """Zarr reads a missing chunk as the fill value: insist that each one is there."""
    try:
        metadata = json.loads((path / name / "zarr.json").read_text())
        chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        grid = [-(-size // chunk) for size, chunk in zip(metadata["shape"], chunks)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the store is damaged (metadata of {name}: {error})", path=path) from error
    for index in np.ndindex(*grid):
        if not (path / name / "c" / Path(*map(str, index))).is_file():
            raise InputError(f"the store is damaged (chunk {list(index)} of {name} is missing)", path=path)


def _sort_metadata(folder: Path) -> None:
    """zarr writes concurrently, so the order of its JSON keys may differ from run to run: fix it."""
    for file in sorted(folder.rglob("zarr.json")):
        file.write_text(json.dumps(json.loads(file.read_text()), indent=2, sort_keys=True) + "\n")
