"""How far two domains use the same neurons (or experts): NumPy in, NumPy out.

``J(A, B) = |A n B| / |A u B|`` of top-k sets, its exact expectation under chance, threshold-free relatives
on the whole score vectors, and SEP, which puts a between-domain overlap between its floor and its ceiling.
Shapes are ``[..., n]``: n scores on the last axis (neurons of a layer), anything broadcastable before it.
"""

import math

import numpy as np

from implicit_sparsity.errors import InputError


def top_k_sets(scores, k: int) -> np.ndarray:
    """Membership of the k largest scores, bool ``[..., n]``; of equal scores the lower index wins.

    Raises InputError for NaN (a set of the largest is then undefined) or k outside 1..n.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n = scores.shape[-1]
    if not 1 <= k <= n:
        raise InputError(f"k = {k} is not in 1..{n}")
    if np.isnan(scores).any():
        raise InputError(f"{int(np.isnan(scores).sum())} of {scores.size} scores are NaN")
    cut = np.partition(scores, n - k, axis=-1)[..., n - k, None]  # the k-th largest
    above = scores > cut
    ties = scores == cut
    room = k - above.sum(axis=-1, keepdims=True)
    return above | (ties & (np.cumsum(ties, axis=-1) <= room))


def top_k_iou(a, b, k: int) -> np.ndarray:
    """Intersection over union of the top-k sets of scores a and b, ``[..., n] x [..., n] -> [...]``, in [0,
    1].

    Ties are broken by index, so equal inputs give 1. Raises InputError for NaN, unequal n or k outside 1..n.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape[-1] != b.shape[-1]:
        raise InputError(f"score vectors of different lengths: {a.shape[-1]} and {b.shape[-1]}")
    both = (top_k_sets(a, k) & top_k_sets(b, k)).sum(axis=-1)
    return both / (2 * k - both)


def chance_iou(n: int, k: int) -> float:
    """Expected IoU of two independent uniform k-subsets of n: ``sum_m C(k,m) C(n-k,k-m) / C(n,k) * m /
    (2k-m)``.

    Exact (hypergeometric, through log-gamma); (64, 8) gives 0.0705. Raises InputError for k outside 1..n.
    """
    if not 1 <= k <= n:
        raise InputError(f"k = {k} is not in 1..{n}")

    def log_choose(top, bottom):
        return math.lgamma(top + 1) - math.lgamma(bottom + 1) - math.lgamma(top - bottom + 1)

    total = log_choose(n, k)
    return math.fsum(
        math.exp(log_choose(k, m) + log_choose(n - k, k - m) - total) * m / (2 * k - m)
        for m in range(max(1, 2 * k - n), k + 1)
    )


def weighted_jaccard(p, q) -> np.ndarray:
    """``sum_i min(p_i, q_i) / sum_i max(p_i, q_i)`` over the last axis of non-negative scores, in [0, 1].

    NaN where both are all zeros (Ruzicka similarity; no threshold). Raises InputError for a negative or NaN
    score.
    """
    p, q = non_negative(p), non_negative(q)
    largest = np.maximum(p, q).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.minimum(p, q).sum(axis=-1) / largest


def jensen_shannon_bits(p, q) -> np.ndarray:
    """Jensen-Shannon divergence of p and q, each normalised over the last axis, in bits: 0 equal, 1 disjoint.

    ``H((p+q)/2) - (H(p) + H(q)) / 2`` with log2 (Lin 1991); its square root is the distance. NaN where a
    vector is all zeros. Raises InputError for a negative or NaN score.
    """
    p, q = non_negative(p), non_negative(q)
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
        middle = (p + q) / 2
        bits = sum(np.where(x > 0, x * np.log2(x / middle), 0.0).sum(axis=-1) for x in (p, q)) / 2
    undefined = np.isnan(p).any(axis=-1) | np.isnan(q).any(axis=-1)
    return np.where(undefined, np.nan, np.clip(bits, 0.0, 1.0))


def chance_weighted_jaccard(p, q) -> np.ndarray:
    """``E[sum_i min(p_i, q_r(i))] / E[sum_i max(p_i, q_r(i))]`` over all orders r of the n entries.

    Exact in numerator and denominator: every pair of entries meets in 1/n of the orders. ``[..., n] x [...,
    n] -> [...]`` in [0, 1], by sorting; NaN where both are all zeros.
    """
    p, q = np.broadcast_arrays(non_negative(p), non_negative(q))
    n = p.shape[-1]
    # an entry is the smaller one in as many pairs as the other vector has entries above it
    both = np.concatenate([p, q], axis=-1)
    order = both.argsort(axis=-1, kind="stable")
    first = order < n  # an entry of p
    above = [(~first)[..., ::-1].cumsum(axis=-1)[..., ::-1], first[..., ::-1].cumsum(axis=-1)[..., ::-1]]
    smaller = (np.take_along_axis(both, order, axis=-1) * np.where(first, *above)).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return smaller / (n * both.sum(axis=-1) - smaller)


def chance_jensen_shannon_bits(p, q) -> np.ndarray:
    """Expected Jensen-Shannon divergence in bits where the n entries of one of the two are in random order.

    Exact, ``sum_ij f(p_i, q_j) / n`` with f the term of one entry: a divergence is a sum over entries, and
    every pair of entries meets in 1/n of the orders. ``[..., n] x [..., n] -> [...]``, n^2 memory.
    """
    p, q = non_negative(p), non_negative(q)
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
        a, b = p[..., :, None], q[..., None, :]
        terms = [np.where(x > 0, x * np.log2(x / ((a + b) / 2)), 0.0).sum(axis=(-2, -1)) for x in (a, b)]
    undefined = np.isnan(p).any(axis=-1) | np.isnan(q).any(axis=-1)
    return np.where(undefined, np.nan, np.clip(sum(terms) / 2 / p.shape[-1], 0.0, 1.0))


def domain_shares(use) -> np.ndarray:
    """``p(domain | expert) = use[d, e] / sum_d use[d, e]``, ``[D, ..., E] -> [D, ..., E]``.

    At equal budgets: ``use`` is normalised over its last axis first. 0 for an expert that no domain uses.
    """
    use = non_negative(use)
    use = use / use.sum(axis=-1, keepdims=True)
    total = use.sum(axis=0)
    return np.divide(use, total, out=np.zeros_like(use), where=total > 0)


def normalised_information(use) -> np.ndarray:
    """``I(domain; expert) / log2 D`` of use ``[D, ..., E]`` at equal budgets, ``[...]`` in [0, 1].

    ``I = H(mean of the D distributions) - mean of their H``, bits: the Jensen-Shannon divergence of D
    distributions (Lin 1991). 0: an expert tells nothing about the domain; 1: every expert serves one domain.
    """
    use = non_negative(use)
    use = use / use.sum(axis=-1, keepdims=True)
    middle = use.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(use > 0, use * np.log2(use / middle), 0.0).sum(axis=-1).mean(axis=0)
    return np.clip(bits / math.log2(len(use)), 0.0, 1.0)


def separation(within, between, floor) -> np.ndarray:
    """``SEP = (J_within - J_between) / (J_within - J_floor)``, element-wise.

    0: domains overlap as much as two halves of one domain; 1: no more than chance; below 0: noise. NaN
    where the ceiling is not above the floor (nothing can then be told apart).
    """
    within, between, floor = (np.asarray(x, dtype=np.float64) for x in (within, between, floor))
    room = within - floor
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0, (within - between) / room, np.nan)


def non_negative(x) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if not (x >= 0).all():
        raise InputError("scores must be non-negative numbers, but some are negative or NaN")
    return x


def size_of(k: float, n: int) -> int:
    """Neurons in a top-k set of n: a share where k < 1 (one neuron or more), else a count up to n."""
    count = max(1, round(k * n)) if k < 1 else int(k)
    if k <= 0 or count > n or (k >= 1 and count != k):
        raise InputError(
            f"{k} is neither a share below 1 nor a whole number of the layer's {n} neurons", key="k"
        )
    return count


def top_sizes(top_k, n: int) -> list[int]:
    """Neurons in each top-k of a part with ``n`` neurons; a part narrower than a count gives all it has."""
    return [size_of(min(k, n), n) for k in top_k]
