"""Inner products of documents' gradients by layer and kind of weight, from the arrays of stores.

Documents of one group are no two observations: a unit is the mean gradient of a group's documents in a half.
Units of all domains are numbered through, by domain, half and group. What gradients tell is found from the
products of units alone (``document_gradients``), so no more of the sketches than one kind of weight is in
float64 at a time.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from . import clusters, document_gradients

WHOLE = (-1, "all")


class Products(NamedTuple):
    """Of each (layer, kind) in ``weights``, the last of which is ``WHOLE``.

    sizes: numbers of its sketch [w]; grams: inner products of units [w, n, n]; errors: pair -> what
    ``sketch_errors`` has, [2, w].
    """

    weights: list
    sizes: np.ndarray
    grams: np.ndarray
    errors: dict


def units(datasets: dict) -> tuple:
    """(domain -> numbers of its units in half a and in half b; float64 [units, documents], whose means they
    are), of stores with ``group`` [half, document]."""
    places, blocks, first = {}, [], 0
    for domain, dataset in datasets.items():
        places[domain] = []
        for names in dataset["group"].transpose("half", "document").values:
            inside = clusters.members(names)
            blocks.append(inside / inside.sum(axis=1, keepdims=True))
            places[domain].append(np.arange(first, first + len(inside)))
            first += len(inside)
    return places, block_diag(*blocks)


def products(datasets: dict, places: dict, averages, pairs) -> Products:
    """Of stores with ``sketch`` [half, document, module, dim] of the same modules, and their ``units``.

    pairs: of names in ``places``, whose cosines get an error by sketching.
    """
    first = next(iter(datasets.values()))
    columns = [np.flatnonzero(first["column"].values == c) for c in np.unique(first["column"].values)]
    keys = list(zip(first["layer"].values.tolist(), first["kind"].values.tolist()))
    sketches = [
        dataset["sketch"].transpose("half", "document", "module", "dim") for dataset in datasets.values()
    ]
    sketches = [values.values.reshape(-1, *values.shape[2:]) for values in sketches]
    weights, sizes, grams, errors, whole = list(dict.fromkeys(keys)), [], [], [], 0.0
    for weight in weights:
        modules = [i for i, key in enumerate(keys) if key == weight]
        x = np.concatenate([values[:, modules] for values in sketches]).astype(np.float64)
        x = np.tensordot(averages, x, axes=1)
        parts = np.stack([(y := x[:, :, c].reshape(len(x), -1)) @ y.T for c in columns])
        whole = whole + parts
        sizes.append(x[0].size)
        grams.append(parts.sum(axis=0))
        errors.append(sketch_errors(parts, places, pairs))
    grams.append(whole.sum(axis=0))
    errors.append(sketch_errors(whole, places, pairs))
    errors = {pair: np.array([result[pair] for result in errors]).T for pair in pairs}
    return Products([*weights, WHOLE], np.array([*sizes, sum(sizes)]), np.stack(grams), errors)


def sketch_errors(parts, places: dict, pairs) -> dict:
    """pair -> (jackknife standard error of ``mean_cosine`` over columns, half of its 95 % interval).

    parts: inner products by column of the projection, ``[column, n, n]``; NaN of a single column.
    """
    from scipy import stats

    left, count = parts.sum(axis=0) - parts, len(parts)
    at, errors = {name: np.concatenate(halves) for name, halves in places.items()}, {}
    for a, b in pairs:
        grams = (left[:, at[x][:, None], at[y]] for x, y in ((a, b), (a, a), (b, b)))
        cosines = document_gradients.mean_cosine(*grams)
        error = np.sqrt((count - 1) * cosines.var()) if count > 1 else np.nan
        errors[a, b] = error, error * stats.t.isf(0.025, max(1, count - 1))
    return errors
