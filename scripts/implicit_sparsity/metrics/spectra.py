"""Ranks, similarity of representations and idle units: NumPy in, NumPy out."""

import numpy as np

from implicit_sparsity.errors import InputError


def effective_rank(m) -> np.ndarray:
    """``exp(H(s / sum s))`` of the singular values s, ``[..., a, b] -> [...]`` (Roy & Vetterli 2007).

    From 1 (one direction) to min(a, b) (all alike); NaN for a matrix of zeros.
    """
    s = np.linalg.svd(_matrix(m), compute_uv=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = s / s.sum(axis=-1, keepdims=True)
        entropy = -np.where(p > 0, p * np.log(p), 0.0).sum(axis=-1)
    return np.where(s[..., 0] > 0, np.exp(entropy), np.nan)


def stable_rank(m) -> np.ndarray:
    """``||M||_F^2 / s_1^2``, ``[..., a, b] -> [...]``: never above the rank; NaN for a matrix of zeros."""
    s = np.linalg.svd(_matrix(m), compute_uv=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(s[..., 0] > 0, (s**2).sum(axis=-1) / s[..., 0] ** 2, np.nan)


def linear_cka(x, y, debiased: bool = True) -> float:
    """Linear CKA of representations ``[n, p]``, ``[n, q]`` of the same n inputs (Kornblith et al. 2019).

    ``HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))``. Debiased: with the unbiased HSIC of Song et al. 2012, whose
    expectation is 0 for unrelated representations, where the plain one rises to 1 with p / n; may be slightly
    negative. NaN where one of the two does not vary. Raises InputError for unequal n, or n < 4.
    """
    x, y = _matrix(x), _matrix(y)
    if len(x) != len(y) or len(x) < 4:
        raise InputError(f"CKA compares the same 4 inputs or more, not {len(x)} and {len(y)}")
    k, g = (_gram(z, debiased) for z in (x, y))
    own = _hsic(k, k, debiased) * _hsic(g, g, debiased)
    return float(_hsic(k, g, debiased) / np.sqrt(own)) if own > 0 else float("nan")


def dormant_share(mean_abs, tau: float) -> np.ndarray:
    """Share of units with ``E|h_i| / mean_j E|h_j| <= tau``, over the last axis (Sokar et al. 2302.12902).

    A layer of zeros is all dormant. Raises InputError for a negative or NaN mean, or tau < 0.
    """
    means = np.asarray(mean_abs, dtype=np.float64)
    if not (means >= 0).all() or tau < 0:
        raise InputError("means of |h| and tau must be non-negative numbers")
    return (means <= tau * means.mean(axis=-1, keepdims=True)).mean(axis=-1)


def _gram(x, debiased):
    """X X', centred (plain) or with a zero diagonal (debiased), as each HSIC takes it."""
    x = x - x.mean(axis=0)
    gram = x @ x.T
    if debiased:
        np.fill_diagonal(gram, 0.0)
    return gram


def _hsic(k, g, debiased):
    if not debiased:
        return (k * g).sum()
    n = len(k)
    row_k, row_g = k.sum(axis=0), g.sum(axis=0)
    middle = row_k.sum() * row_g.sum() / ((n - 1) * (n - 2))
    return ((k * g).sum() + middle - 2 * (row_k @ row_g) / (n - 2)) / (n * (n - 3))


def _matrix(m):
    m = np.asarray(m, dtype=np.float64)
    if m.ndim < 2 or not np.isfinite(m).all():
        raise InputError("not a finite matrix")
    return m
