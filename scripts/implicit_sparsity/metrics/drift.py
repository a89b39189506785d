"""How far representations moved between two networks, by layer: NumPy in, NumPy out.

Shapes: n positions of G groups of documents, the same for both networks; H features; k directions of a
subspace. The group is the unit: every measure comes as ``[1 + G]`` numbers, the value and what it is with
each group left out in turn, which is what ``intervals.jackknife_interval`` is made of.
"""

from functools import cache

import numpy as np

from implicit_sparsity.errors import InputError

from . import clusters, gradients, spectra

MEASURES = {  # name: (unit, scale of its interval)
    "relative_l2": ("1", "log"),
    "cosine": ("1", "fisher"),
    "cka": ("1", "fisher"),
    "cka_positions": ("1", "fisher"),
    "drift_energy": ("1", "logit"),
    "drift_excess": ("1", "linear"),
    "mean_angle": ("rad", "angle"),
    "largest_angle": ("rad", "angle"),
}
RESERVE = 4  # directions kept beside each of the k, among which the subspace turns as groups are left out


def moved(old, new, owner, k: int) -> dict:
    """Every measure of MEASURES between ``old`` and ``new`` ``[n, H]``, ``[1 + G]`` each.

    owner: int [n], the group of documents of each position, 0 to G - 1. InputError where a state is not
    finite. What is undefined is NaN: all of a layer of zeros, subspaces of more directions than there are.
    """
    old, new, owner = np.asarray(old, np.float64), np.asarray(new, np.float64), np.asarray(owner)
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        raise InputError("hidden states are not finite")
    distance, cos = _distances(old, new, owner)
    energy, floor, angles = _subspaces(old, new, owner, k)
    plain = spectra.linear_cka(old, new) if len(old) >= 4 else np.nan
    alone = np.full(len(distance), np.nan)
    alone[0] = plain
    values = distance, cos, groups_cka(old, new, owner), alone, energy, energy - floor
    return dict(zip(MEASURES, (*values, angles.mean(axis=-1), angles[:, -1]), strict=True))


def unrelated(old, new, owner, k: int) -> dict:
    """What each measure is where the two networks have nothing in common but their states' own means.

    ``relative_l2`` and ``cosine``: every position with the positions of all other groups; CKA: exactly 0,
    as it is debiased; energy and angles: of a random subspace of k directions.
    """
    old, new, owner = np.asarray(old, np.float64), np.asarray(new, np.float64), np.asarray(owner)
    counts = np.bincount(owner).astype(np.float64)
    square_old, square_new = (_by_group((x * x).sum(axis=1), owner) for x in (old, new))
    others = counts.sum() - counts
    apart = others @ square_old + others @ square_new - 2 * _across(old, new, owner)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.sqrt(apart / (others @ square_old))
        cos = _across(_unit(old), _unit(new), owner) / (counts @ others)
    width = old.shape[1]
    energy = max(0.0, 1 - k / width)
    angles = random_angles(width, k)
    floor = float(_subspaces(old, old, owner, k)[1][0])
    values = float(distance), float(cos), 0.0, 0.0, energy, energy - floor, *angles
    return dict(zip(MEASURES, values, strict=True))


@cache
def random_angles(width: int, k: int, draws: int = 32) -> tuple[float, float]:
    """(mean, largest) principal angle between random k-dimensional subspaces; NaN where k > width."""
    if k > width:
        return np.nan, np.nan
    u, v = np.random.default_rng([width, k]).standard_normal((2, draws, width, k))
    angles = gradients.principal_angles(u, v)
    return float(angles.mean()), float(angles[:, -1].mean())


def groups_cka(x, y, owner) -> np.ndarray:
    """Linear CKA, debiased over groups of documents, ``[1 + G]``.

    ``spectra.linear_cka`` debiased takes positions for independent, and of related ones (those of one
    group) finds CKA where there is none. Here its averages over 2, 3 and 4 different positions run over
    positions of different groups, each group with the same weight: with one position a group it is
    the same number. NaN for fewer than four groups.
    """
    k, g = (_centred(np.asarray(z, np.float64)) for z in (x, y))
    k, g = k @ k.T, g @ g.T
    same = _indicator(owner)
    same = same / same.sum(axis=1, keepdims=True)  # [G, n], averages over a group's positions
    retained, parts = clusters.left_out(range(len(same))), [(m @ same.T, same @ m @ same.T) for m in (k, g)]
    own = [_hsic(m, m, same, p, p, retained) for m, p in zip((k, g), parts)]
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.where((own[0] > 0) & (own[1] > 0), own[0] * own[1], np.nan)
        return _hsic(k, g, same, *parts, retained) / np.sqrt(both)


def _hsic(k, g, same, of_k, of_g, retained):
    """Unbiased HSIC of the groups that each row of ``retained`` marks, from averages over groups."""
    (rows_k, a), (rows_g, b) = of_k, of_g
    pairs = same @ (k * g) @ same.T  # [G, G]
    triples = np.einsum("di,ie,if->def", same, rows_k, rows_g, optimize=True)
    index = np.arange(len(a))
    a, b, pairs = (m - np.diag(np.diagonal(m)) for m in (a, b, pairs))
    triples[index, index, :] = triples[index, :, index] = triples[:, index, index] = 0
    n = retained.sum(axis=1)
    ab, rest = a * b, np.einsum("rd,de->re", retained, triples.reshape(len(a), -1))
    rest = (rest.reshape(len(retained), len(a), len(a)) * retained[:, :, None] * retained[:, None, :]).sum(
        axis=(1, 2)
    )
    row_a, row_b = (retained * (retained @ m) for m in (a, b))
    two = _quadratic(retained, pairs)
    four = (
        row_a.sum(axis=1) * row_b.sum(axis=1) - 4 * (row_a * row_b).sum(axis=1) + 2 * _quadratic(retained, ab)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        result = two / (n * (n - 1)) + four / (n * (n - 1) * (n - 2) * (n - 3))
        return np.where(n >= 4, result - 2 * rest / (n * (n - 1) * (n - 2)), np.nan)


def _distances(old, new, owner):
    """Relative L2 ``||X1 - X0|| / ||X0||`` and mean cosine of a position with itself, ``[1 + G]`` each."""
    retained = clusters.left_out(range(owner.max() + 1))
    sums = [
        retained @ _by_group(x, owner)
        for x in (
            ((new - old) ** 2).sum(axis=1),
            (old * old).sum(axis=1),
            (_unit(old) * _unit(new)).sum(axis=1),
            np.ones(len(old)),
        )
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(sums[1] > 0, np.sqrt(sums[0] / sums[1]), np.nan)
        return distance, np.clip(sums[2] / sums[3], -1, 1)


def _subspaces(old, new, owner, k):
    """(drift energy, the same of ``old`` itself, principal angles [.., k]) of the top-k subspaces.

    As groups are left out the subspaces turn, within the RESERVE * k leading directions of all.
    """
    retained = clusters.left_out(range(owner.max() + 1))
    bases = [_leading(x, RESERVE * k) for x in (old, new)]
    if min(basis.shape[1] for basis in bases) < k:
        nothing = np.full(len(retained), np.nan)
        return nothing, nothing, np.full((len(retained), k), np.nan)
    same = _indicator(owner)
    inside = [_moments(x @ basis, same, retained) for x, basis in ((old, bases[0]), (new, bases[1]))]
    turns = [np.linalg.eigh(moments)[1][..., ::-1][..., :k] for moments in inside]
    shares = []
    for x, moments in ((old, inside[0]), (new, _moments(new @ bases[0], same, retained))):
        total = retained @ _by_group((x * x).sum(axis=1), owner)
        shares.append(np.einsum("rak,rab,rbk->r", turns[0], moments, turns[0], optimize=True) / total)
    common, _ = np.linalg.qr(np.hstack(bases))  # [H, 2q]: both subspaces in few coordinates
    spans = [(common.T @ basis) @ turn for basis, turn in zip(bases, turns)]
    return 1 - shares[1], 1 - shares[0], gradients.principal_angles(*spans)


def _leading(x, count):
    """Leading right singular vectors of ``x`` (not centred), ``[H, <= count]``; fewer where it has fewer."""
    tall = len(x) > x.shape[1]
    values, vectors = np.linalg.eigh(x.T @ x if tall else x @ x.T)
    chosen = np.arange(len(values))[::-1][:count]
    chosen = chosen[values[chosen] > max(1e-12 * values[-1], 0)]
    vectors = vectors[:, chosen]
    return vectors if tall else np.linalg.qr(x.T @ vectors)[0]


def _moments(x, same, retained):
    """Second moments ``[1 + G, q, q]`` of ``x [n, q]``, of all groups and without each."""
    each = np.stack([x[row > 0].T @ x[row > 0] for row in same])
    return np.tensordot(retained, each, axes=1)


def _across(x, y, owner):
    """Sum of ``x_i . y_j`` over positions of different groups."""
    a, b = (_indicator(owner) @ z for z in (x, y))
    return float(a.sum(axis=0) @ b.sum(axis=0) - (a * b).sum())


def _indicator(owner):
    return (np.arange(owner.max() + 1)[:, None] == owner).astype(np.float64)


def _by_group(values, owner):
    return np.bincount(owner, weights=values)


def _quadratic(retained, matrix):
    return np.einsum("rd,de,re->r", retained, matrix, retained, optimize=True)


def _centred(x):
    return x - x.mean(axis=0)


def _unit(x):
    """Rows of length 1; NaN for a row of zeros."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return x / np.linalg.norm(x, axis=1, keepdims=True)
