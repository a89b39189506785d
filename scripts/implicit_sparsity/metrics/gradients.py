"""How far gradients, or the subspaces they span, point the same way: NumPy in, NumPy out.

A raw cosine proves nothing: between random vectors it is ``random_cosine(d)``, and noise in two estimates
drives it to zero even where the true gradients are one. So it is reported with its null and its split-half
ceiling, and disattenuated by them. Subspaces are given by spanning columns ``[..., d, k]``.
"""

import numpy as np

from implicit_sparsity.errors import InputError


def random_cosine(d) -> np.ndarray:
    """``sqrt(2 / (pi d))``: the mean absolute cosine of two random directions in d dimensions (large d)."""
    d = np.asarray(d, dtype=np.float64)
    if (d < 1).any():
        raise InputError(f"d = {d.min():g} is not a number of dimensions")
    return np.sqrt(2 / (np.pi * d))


def cosine(a, b) -> np.ndarray:
    """``a.b / (|a| |b|)`` over the last axis, in [-1, 1]; NaN for a zero vector."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((a * b).sum(axis=-1) / norms, -1, 1)


def disattenuated(cos_ab, cos_aa, cos_bb) -> np.ndarray:
    """``cos_ab / sqrt(cos_aa cos_bb)``: the cosine between A and B, had both been measured without noise.

    cos_aa, cos_bb: between two independent halves of A, of B, at the budget of cos_ab (Spearman 1904).
    May exceed 1 by chance; NaN where a half-to-half cosine is not positive (noise only: nothing can be said).
    """
    ab, aa, bb = (np.asarray(x, dtype=np.float64) for x in (cos_ab, cos_aa, cos_bb))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((aa > 0) & (bb > 0), ab / np.sqrt(aa * bb), np.nan)


def subspace_overlap(u, v) -> np.ndarray:
    """``||U'V||_F^2 / k`` of two subspaces, ``[..., d, k] x [..., d, k] -> [...]`` in [0, 1]; null: k / d.

    1: the same subspace, 0: orthogonal. Of unequal k the smaller counts. Otherwise as ``principal_angles``.
    """
    a, b = _pair(u, v)
    cosines = np.clip(np.linalg.svd(np.swapaxes(a, -1, -2) @ b, compute_uv=False), 0, 1)
    return (cosines**2).sum(axis=-1) / cosines.shape[-1]


def principal_angles(u, v) -> np.ndarray:
    """Principal angles between two subspaces in radians, ascending, ``[..., min(k)]`` (Björck & Golub 1973).

    Small angles are read off the sine, which a cosine near 1 cannot resolve. U and V are orthonormalised
    first. Raises InputError for linearly dependent columns or different d.
    """
    a, b = _pair(u, v)
    if a.shape[-1] < b.shape[-1]:
        a, b = b, a
    inside = np.swapaxes(a, -1, -2) @ b
    cosines = np.clip(np.linalg.svd(inside, compute_uv=False), 0, 1)  # descending
    sines = np.clip(np.linalg.svd(b - a @ inside, compute_uv=False), 0, 1)[..., ::-1]  # ascending
    return np.where(cosines**2 > 0.5, np.arcsin(sines[..., : cosines.shape[-1]]), np.arccos(cosines))


def _pair(u, v):
    a, b = _orthonormal(u), _orthonormal(v)
    if a.shape[-2] != b.shape[-2]:
        raise InputError(f"subspaces of different spaces: d = {a.shape[-2]} and {b.shape[-2]}")
    return a, b


def _orthonormal(u):
    u = np.asarray(u, dtype=np.float64)
    if u.ndim < 2 or not np.isfinite(u).all():
        raise InputError("a subspace is a finite matrix [d, k] of spanning columns")
    q, r = np.linalg.qr(u)
    diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
    if u.shape[-1] > u.shape[-2] or (diagonal <= 1e-10 * diagonal.max(axis=-1, keepdims=True)).any():
        raise InputError("the columns that span a subspace are linearly dependent")
    return q
