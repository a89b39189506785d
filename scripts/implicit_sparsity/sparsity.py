"""How unevenly a vector of activations is spread: NumPy in, NumPy out, over the last axis ``[..., n] ->
[...]``.

All four take magnitudes (the sign is dropped), do not change when the vector is scaled, and are NaN for a
vector that is all zeros or holds a NaN: such a layer has no distribution to describe.
"""

import numpy as np

from implicit_sparsity.errors import InputError


def hoyer(x) -> np.ndarray:
    """``(sqrt n - l1 / l2) / (sqrt n - 1)``: 0 all equal, 1 a single non-zero (Hoyer 2004). NaN for n = 1."""
    x = _magnitudes(x)
    root = np.sqrt(x.shape[-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (root - x.sum(axis=-1) / np.sqrt((x * x).sum(axis=-1))) / (root - 1)


def gini(x) -> np.ndarray:
    """Gini index ``1 - 2 sum_i x_(i) / l1 * (n - i + 1/2) / n``, x sorted upwards: 0 all equal, 1 - 1/n one
    non-zero.

    Hurley & Rickard 2009.
    """
    x = np.sort(_magnitudes(x), axis=-1)
    n = x.shape[-1]
    weights = (n - np.arange(1, n + 1) + 0.5) / n
    with np.errstate(invalid="ignore"):
        return 1 - 2 * (x * weights).sum(axis=-1) / x.sum(axis=-1)


def participation_ratio(x) -> np.ndarray:
    """``(sum x^2)^2 / sum x^4 / n``: share of entries that carry the energy; 1 equal, 1/n one non-zero."""
    squares = _magnitudes(x) ** 2
    with np.errstate(invalid="ignore"):
        return squares.sum(axis=-1) ** 2 / (squares**2).sum(axis=-1) / squares.shape[-1]


def top_p_share(x, p: float) -> np.ndarray:
    """Share of entries in the smallest set whose magnitudes sum to at least ``p`` of l1, in (0, 1].

    Raises InputError for p outside (0, 1].
    """
    if not 0 < p <= 1:
        raise InputError(f"p = {p} is not in (0, 1]")
    x = -np.sort(-_magnitudes(x), axis=-1)
    mass = np.cumsum(x, axis=-1)
    total = mass[..., -1:]
    # Sums in floating point: entries that miss the target by rounding alone count as having reached it.
    needed = 1 + (mass < p * total * (1 - 1e-12)).sum(axis=-1)
    defined = np.isfinite(total[..., 0]) & (total[..., 0] > 0)
    return np.where(defined, needed / x.shape[-1], np.nan)


def _magnitudes(x) -> np.ndarray:
    """|x| divided by its largest, so that squares and fourth powers neither overflow nor vanish."""
    x = np.abs(np.asarray(x, dtype=np.float64))
    if x.ndim == 0 or x.shape[-1] == 0:
        raise InputError("an empty vector has no sparsity")
    largest = x.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return x / largest
