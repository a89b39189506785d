"""Quantities of gradient overlap, from inner products of units alone: NumPy in, NumPy out.

``gram [..., n, n]``: products of the units of one domain, or of the first before those of the second, each
domain's half by half; ``counts``: units of each half, two numbers or four; ``sizes [...]``: numbers of a
sketch; ``deals``: permutations of the n units of two domains, for the null.
"""

from typing import NamedTuple

import numpy as np

from . import document_gradients, gradients, overlap

UNITS = {"cosine": "1", "subspace": "1", "angle": "radians"}
SHAPES = ("subspace", "angle")


class Measured(NamedTuple):
    """``values [...]`` of a quantity and their bounds (low, high), None where there is no interval."""

    measure: str
    k: float
    quantity: str
    values: np.ndarray
    bounds: tuple | None = None

    @property
    def unit(self) -> str:
        return "dimensions" if self.quantity == "d_eff" else UNITS[self.measure]


def cosines_within(gram, counts) -> list[Measured]:
    """Of one domain: ceiling and effective dimension."""
    quantities = {"ceiling": _cosines(gram, counts)[1], "d_eff": _noise_dimension(gram, gram, gram)}
    return [Measured("cosine", np.nan, *each) for each in quantities.items()]


def subspaces_within(gram, counts, k: int) -> list[Measured]:
    """The same of k leading directions."""
    return [Measured(measure, k, "ceiling", x) for measure, x in _subspaces(gram, counts, k).items()]


def cosines_between(gram, counts, sizes, sketch, deals, resamples: int) -> list[Measured]:
    """Of two domains. sketch: standard error by sketching and half of its interval, [2, ...]."""
    n, (error, wide) = sum(counts[:2]), sketch
    grams = gram[..., :n, n:], gram[..., :n, :n], gram[..., n:, n:]
    signal, ceiling = _cosines(gram, counts)
    d_eff = _noise_dimension(*grams)
    cosine = document_gradients.mean_cosine(*grams)
    low = high = np.full_like(cosine, np.nan)
    if min(grams[0].shape[-2:]) >= document_gradients.FEWEST:
        low, high = document_gradients.mean_cosine_interval(*grams, resamples=resamples)
    bounds = (cosine - np.hypot(cosine - low, wide), cosine + np.hypot(high - cosine, wide))
    null = np.where(np.isnan(d_eff), np.nan, gradients.random_cosine(np.nan_to_num(d_eff, nan=1.0)))
    dealt = [_cosines(gram[..., deal[:, None], deal], counts)[0] for deal in deals]
    quantities = {
        "signal": (signal,),
        "ceiling": (ceiling,),
        "floor": (gradients.random_cosine(sizes),),
        "floor_d_eff": (null,),
        "sep": (overlap.separation(ceiling, signal, 0.0),),
        "d_eff": (d_eff,),
        "disattenuated": (cosine, bounds),
        "sketch_error": (error,),
        "permuted": _spread(dealt),
    }
    return [Measured("cosine", np.nan, quantity, *each) for quantity, each in quantities.items()]


def subspaces_between(gram, counts, sizes, deals, k: int) -> list[Measured]:
    """Of two domains and k leading directions."""
    n = sum(counts[:2])
    parts = (slice(n), counts[:2]), (slice(n, None), counts[2:])
    own = [_subspaces(gram[..., at, at], some, k) for at, some in parts]
    dealt = [_subspaces(gram[..., deal[:, None], deal], counts, k) for deal in deals]
    result = []
    for measure, signal in _subspaces(gram, counts, k).items():
        ceiling = (own[0][measure] + own[1][measure]) / 2
        quantities = {"signal": (signal,), "ceiling": (ceiling,)}
        if measure == "subspace":
            floor = np.minimum(k / sizes, 1)
            quantities |= {"floor": (floor,), "sep": (overlap.separation(ceiling, signal, floor),)}
        quantities["permuted"] = _spread([each[measure] for each in dealt])
        result += [Measured(measure, k, quantity, *each) for quantity, each in quantities.items()]
    return result


def _noise_dimension(ab, aa, bb):
    if min(ab.shape[-2:]) < document_gradients.FEWEST:
        return np.full(ab.shape[:-2], np.nan)
    return document_gradients.noise_dimension(ab, aa, bb)


def _cosines(gram, counts):
    """(signal, None of one domain; ceiling)."""
    halves = np.repeat(np.eye(len(counts)), counts, axis=1)
    cosines = document_gradients.half_cosines(gram, halves)
    ceiling = np.mean([cosines[..., i, i + 1] for i in range(0, len(counts), 2)], axis=0)
    return cosines[..., :2, 2:].mean(axis=(-2, -1)) if len(counts) > 2 else None, ceiling


def _subspaces(gram, counts, k):
    """{measure: signal, or the ceiling of one domain} of the overlap and mean angle of leading directions."""
    if min(counts) < k:
        return {name: np.full(gram.shape[:-2], np.nan) for name in SHAPES}
    ends = np.cumsum([0, *counts])
    halves = [slice(*ends[i : i + 2]) for i in range(len(counts))]
    spans = [document_gradients.leading_directions(gram[..., at, at], k) for at in halves]
    pairs = [(i, j) for i in (0, 1) for j in (2, 3)] if len(counts) > 2 else [(0, 1)]
    cosines = np.array(
        [
            document_gradients.principal_cosines(gram[..., halves[i], halves[j]], spans[i], spans[j])
            for i, j in pairs
        ]
    )
    return {name: f(cosines).mean(axis=(0, -1)) for name, f in zip(SHAPES, (np.square, np.arccos))}


def _spread(values):
    """(mean, (2.5 %, 97.5 %)) over deals, ``[deal, ...]``."""
    return np.mean(values, axis=0), tuple(np.quantile(values, [0.025, 0.975], axis=0))
