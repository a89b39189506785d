"""What the gradients of single documents tell about two domains: NumPy in, NumPy out.

A document here is what is independent of the others: where documents come in groups, the mean of a group.

All is found from inner products, whatever the gradients' length: ``aa [..., n, n]`` of the documents of A
with each other, ``bb [..., m, m]`` of B's, ``ab [..., n, m]`` of A's with B's. A document with itself says
how noisy it is, so means are compared over pairs of different documents.
"""

import numpy as np

from implicit_sparsity.errors import InputError

from . import gradients

FEWEST = 4  # documents of a domain, below which there is no interval and no dimension of the noise


def half_cosines(gram, halves) -> np.ndarray:
    """Cosines between the mean gradients of sets of documents, ``[..., h, h]``.

    gram: inner products of all documents ``[..., n, n]``; halves: ``[h, n]``, 1 where a document is in the
    set. NaN for a mean of zero length.
    """
    weights = np.asarray(halves, dtype=np.float64)
    products = weights @ gram @ np.swapaxes(weights, -1, -2)
    lengths = np.sqrt(np.maximum(np.diagonal(products, axis1=-2, axis2=-1), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(products / (lengths[..., :, None] * lengths[..., None, :]), -1, 1)


def leading_directions(gram, k: int) -> np.ndarray:
    """The k leading directions of documents, as coefficients ``[..., n, k]`` of their gradients.

    They are right singular vectors of the gradients stacked as rows (not centred): orthonormal. NaN where
    the documents span fewer than k.
    """
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[..., None, -k:], vectors[..., -k:]
    with np.errstate(invalid="ignore", divide="ignore"):
        spanned = (values > 0) & (values > 1e-10 * values[..., -1:])
        return np.where(spanned.all(axis=-1, keepdims=True), vectors / np.sqrt(values), np.nan)


def principal_cosines(ab, left, right) -> np.ndarray:
    """Cosines of the principal angles between ``leading_directions`` of A and of B, ``[..., k]``."""
    inside = np.swapaxes(left, -1, -2) @ ab @ right
    known = np.isfinite(inside).all(axis=(-2, -1))[..., None]
    cosines = np.linalg.svd(np.where(known[..., None], inside, 0.0), compute_uv=False)
    return np.where(known, np.clip(cosines, 0, 1), np.nan)


def mean_cosine(ab, aa, bb) -> np.ndarray:
    """Cosine between the mean gradients of what documents A ``[..., n]`` and B ``[..., m]`` were drawn from.

    ``disattenuated(AB, AA, BB)`` of inner products averaged over all pairs of two different documents: what a
    split into halves estimates, averaged over all splits. NaN where AA or BB is not positive.
    """
    return gradients.disattenuated(*_mean_products(ab, aa, bb))


def mean_cosine_interval(ab, aa, bb, level: float = 0.95, resamples: int = 2000, seed: int = 0):
    """(low, high) of ``mean_cosine``, a bootstrap over documents; NaN where the cosine is. n, m >= 4.

    Not the ratio is resampled but ``AB - c sqrt(AA BB)``, c the cosine found, which stays near-normal where
    a ratio has heavy tails (Fieller 1954). Drawing documents again counts noise that meets noise three times
    (once in the draw, twice because the means drawn around are noisy themselves), so the spread is scaled
    by the root of (L + Q) / (L + 3 Q), L and Q the parts of the variance that are linear and quadratic in
    the noise; and to Student's t, as n is small.
    """
    from scipy import stats

    n, m = _sizes(ab)
    products = _mean_products(ab, aa, bb)
    cosine = gradients.disattenuated(*products)
    random = np.random.default_rng(seed)
    w = random.multinomial(n, np.full(n, 1 / n), resamples) / n
    v = random.multinomial(m, np.full(m, 1 / m), resamples) / m
    pairs = ((w > 0).sum(axis=1) > 1) & ((v > 0).sum(axis=1) > 1)  # else there are no two different documents
    w, v = w[pairs], v[pairs]
    drawn_ab = np.einsum("rm,...rm->...r", v, w @ ab)
    drawn_size = np.sqrt(np.maximum(_drawn_square(aa, w), 0) * np.maximum(_drawn_square(bb, v), 0))
    tail = (1 - level) / 2
    wide = stats.t.isf(tail, n + m - 2) / stats.norm.isf(tail) * np.sqrt(min(n, m) / (min(n, m) - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.sqrt(np.maximum(products[1], 0) * np.maximum(products[2], 0))
        linear, quadratic = _variance_parts((ab, aa, bb), products, cosine, size)
        apart = (drawn_ab - cosine[..., None] * drawn_size) / size[..., None]
        wide = wide * np.sqrt((linear + quadratic) / (linear + 3 * quadratic))
    low, high = np.quantile(apart, [tail, 1 - tail], axis=-1) * wide
    return cosine - high, cosine - low


def noise_dimension(ab, aa, bb) -> np.ndarray:
    """``(tr S)^2 / tr S^2`` of the documents' scatter S around their domain's mean, A and B pooled.

    From unbiased traces: the covariance of n samples itself has no more than n - 1 dimensions, whatever they
    were drawn from. NaN where nothing varies, or too little to tell. n, m >= 4.
    """
    _sizes(ab)
    traces = [_centred(gram).trace(axis1=-2, axis2=-1) / (gram.shape[-1] - 1) for gram in (aa, bb)]
    squares = squared_covariance(aa) + squared_covariance(bb) + 2 * _cross_covariance(ab)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 0, np.maximum((traces[0] + traces[1]) ** 2 / squares, 1), np.nan)


def squared_covariance(gram) -> np.ndarray:
    """``tr S^2`` of the covariance S that documents were drawn with, unbiased; n >= 4.

    The U-statistic of Chen, Zhang & Zhong 2010; may be negative by chance.
    """
    n = gram.shape[-1]
    gram = _without_diagonal(gram)
    rows = gram.sum(axis=-1)
    total = (gram**2).sum(axis=(-2, -1)) + rows.sum(-1) ** 2 / ((n - 1) * (n - 2))
    return (total - 2 * (rows**2).sum(axis=-1) / (n - 2)) / (n * (n - 3))


def _cross_covariance(ab):
    """``tr S_A S_B``, unbiased."""
    return (_centred(ab) ** 2).sum(axis=(-2, -1)) / np.prod([size - 1 for size in ab.shape[-2:]])


def _centred(gram):
    rows, columns = gram.mean(-1, keepdims=True), gram.mean(-2, keepdims=True)
    return gram - rows - columns + gram.mean((-2, -1), keepdims=True)


def _sizes(ab):
    """Documents of A and of B; InputError for fewer than four."""
    if min(ab.shape[-2:]) < FEWEST:
        raise InputError(
            f"{min(ab.shape[-2:])} documents of a domain are too few for an interval: {FEWEST} or more"
        )
    return ab.shape[-2:]


def _without_diagonal(gram):
    return gram * (1 - np.eye(gram.shape[-1]))


def _mean_products(ab, aa, bb):
    """Unbiased inner products of the means: (AB, AA, BB), a document never with itself."""
    within = (_without_diagonal(g).sum(axis=(-2, -1)) / (g.shape[-1] * (g.shape[-1] - 1)) for g in (aa, bb))
    return ab.mean(axis=(-2, -1)), *within


def _drawn_square(gram, weights):
    """AA of the documents as often as ``weights [resamples, n]`` say, ``[..., resamples]``."""
    total = np.einsum("rn,...rn->...r", weights, weights @ _without_diagonal(gram))
    return total / (1 - (weights**2).sum(axis=-1))


def _variance_parts(grams, products, cosine, size):
    """Variance of ``mean_cosine``: what is linear and what is quadratic in the noise of the documents."""
    (ab, aa, bb), (_, square_a, square_b) = grams, products
    n, m = ab.shape[-2:]
    pulled = 0.0  # variance of the documents' pulls on the cosine: linear + 2 quadratic
    for gram, cross, square, count in ((aa, ab.mean(-1), square_a, n), (bb, ab.mean(-2), square_b, m)):
        own = _without_diagonal(gram).sum(axis=-1) / (count - 1)
        pull = cross / size[..., None] - (cosine / square)[..., None] * own
        pulled = pulled + pull.var(axis=-1, ddof=1) / count
    between = _cross_covariance(ab) / (n * m)
    within = [np.maximum(squared_covariance(gram), 0) / gram.shape[-1] ** 2 for gram in (aa, bb)]
    quadratic = between / size**2 + cosine**2 / 2 * (within[0] / square_a**2 + within[1] / square_b**2)
    return np.maximum(pulled - 2 * quadratic, 0), quadratic
