"""What gradients of documents tell, on documents whose means, scatter and directions are known."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, document_gradients, gradients


def random(seed=0):
    return np.random.default_rng(seed)


def grams(a, b):
    return tuple(x @ np.swapaxes(y, -1, -2) for x, y in ((a, b), (a, a), (b, b)))


def documents(draw, sets, n, cosine, halves, decay=0.0, heavy=0.0, d=100):
    """Two domains [set, n, d]: means of length 1 at ``cosine``, the cosine between halves' means ``halves``.

    ``decay``: scatter in direction i goes with i^-decay; ``heavy``: documents' lengths are log-normal.
    """
    q = draw.standard_normal((2, sets, d))
    a = q[0] / np.linalg.norm(q[0], axis=-1, keepdims=True)
    b = q[1] - (q[1] * a).sum(axis=-1, keepdims=True) * a
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    means = np.stack([a, cosine * a + np.sqrt(1 - cosine**2) * b])
    spectrum = np.arange(1, d + 1.0) ** -decay
    spectrum *= (1 / halves - 1) * n / 2 / spectrum.sum()
    x = means[:, :, None] + np.sqrt(spectrum) * draw.standard_normal((2, sets, n, d))
    return x * np.exp(heavy * draw.standard_normal((2, sets, n, 1)))


@pytest.mark.parametrize("cosine", [0.0, 0.5, 0.9])
def test_mean_cosine_recovers_the_planted_one_and_is_the_mean_of_all_splits(cosine):
    x = documents(random(1), 300, 16, cosine, halves=0.5)
    values = document_gradients.mean_cosine(*grams(*x))
    assert values.mean() == pytest.approx(cosine, abs=4 * values.std() / 300**0.5 + 0.01)
    raw = gradients.cosine(x[0][:, :8].mean(1), x[1][:, :8].mean(1))
    assert raw.mean() == pytest.approx(cosine / 2, abs=0.05), "the raw cosine is drowned by noise"


@pytest.mark.parametrize("n", [16, 48])
@pytest.mark.parametrize("cosine, halves", [(0.0, 0.3), (0.6, 0.5), (0.9, 0.8)])
@pytest.mark.parametrize("decay, heavy", [(0.0, 0.0), (0.5, 0.4)])
def test_interval_covers_the_planted_cosine(n, cosine, halves, decay, heavy):
    draw, covered = random(7), []
    for seed in range(20):  # each with resamples of its own
        x = documents(draw, 25, n, cosine, halves, decay, heavy)
        low, high = document_gradients.mean_cosine_interval(*grams(*x), resamples=500, seed=seed)
        known = np.isfinite(low)
        covered += ((low <= cosine) & (cosine <= high))[known].tolist()
    assert len(covered) > 450
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize("sizes", [(1, 1, 2, 3) * 3, (3,) * 20], ids=["12 unequal groups", "20 groups"])
def test_means_of_groups_cover_where_their_documents_do_not(sizes):
    """Documents of a group have an intraclass correlation of 0.9: the unit is the mean of a group."""
    draw, hits, naive, cosine = random(8), [], [], 0.5
    place = np.repeat(np.arange(len(sizes)), sizes)
    averages = clusters.members(place) / np.array(sizes)[:, None]
    for seed in range(20):
        x = documents(draw, 25, len(sizes), cosine, halves=0.5)
        noise = np.sqrt(len(sizes) / 2 * 0.1 / 100) * draw.standard_normal((2, 25, len(place), 100))
        x = x[:, :, place] + noise
        for units, into in ((averages @ x, hits), (x, naive)):
            low, high = document_gradients.mean_cosine_interval(*grams(*units), resamples=400, seed=seed)
            into += ((low <= cosine) & (cosine <= high))[np.isfinite(low)].tolist()
    assert 0.92 <= np.mean(hits) <= 0.985 and np.mean(naive) < 0.85, (np.mean(hits), np.mean(naive))


def test_interval_needs_no_luck_with_the_draw_and_narrows_with_documents():
    x = documents(random(2), 20, 64, 0.5, halves=0.6)
    few = tuple(part[:, :16] for part in x)
    wide, narrow = (np.diff(document_gradients.mean_cosine_interval(*grams(*y)), axis=0) for y in (few, x))
    assert (narrow < wide).all() and 1.5 < np.median(wide / narrow) < 3
    again = document_gradients.mean_cosine_interval(*grams(*x), seed=1)
    assert (
        np.abs(np.subtract(again, document_gradients.mean_cosine_interval(*grams(*x)))).max()
        < 0.1 * wide.mean()
    )


def test_without_a_ceiling_nothing_is_told():
    noise = random(3).standard_normal((2, 200, 8, 100))
    values = document_gradients.mean_cosine(*grams(*noise))
    low, high = document_gradients.mean_cosine_interval(*grams(*noise), resamples=100)
    assert 0.5 < np.isnan(values).mean() < 0.95  # noise alone: AA or BB is negative in three of four
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == np.isnan(values).tolist()
    zeros = np.zeros((6, 5))
    assert np.isnan(document_gradients.mean_cosine(*grams(zeros, zeros)))
    assert np.isnan(document_gradients.noise_dimension(*grams(zeros, zeros)))


def test_half_cosines_are_those_of_the_means():
    x = random(4).standard_normal((3, 12, 30)) + 0.4
    cosines = document_gradients.half_cosines(x @ np.swapaxes(x, -1, -2), np.kron(np.eye(4), np.ones(3)))
    means = x.reshape(3, 4, 3, 30).mean(axis=2)
    assert cosines == pytest.approx(gradients.cosine(means[:, :, None], means[:, None]))
    assert np.isnan(document_gradients.half_cosines(np.zeros((4, 4)), np.eye(4))).all()


def test_principal_cosines_are_those_of_the_singular_vectors():
    a, b = random(5).standard_normal((2, 3, 7, 40)) + random(6).standard_normal(40)
    spans = [np.linalg.svd(x)[2][:, :3].swapaxes(-1, -2) for x in (a, b)]
    ab, aa, bb = grams(a, b)
    left, right = (document_gradients.leading_directions(gram, 3) for gram in (aa, bb))
    cosines = document_gradients.principal_cosines(ab, left, right)
    assert np.arccos(cosines) == pytest.approx(gradients.principal_angles(*spans))


def test_fewer_directions_than_asked_for_are_nan():
    a = np.outer(np.ones(5), np.arange(1.0, 9.0))
    gram = a @ a.T
    directions = document_gradients.leading_directions(gram, 2)
    assert (
        np.isnan(directions).all()
        and np.isnan(document_gradients.principal_cosines(gram, directions, directions)).all()
    )
    one = document_gradients.leading_directions(gram, 1)
    assert document_gradients.principal_cosines(gram, one, one) == pytest.approx(1)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_effective_dimension_is_that_of_the_scatter_not_of_the_sample(decay):
    """8 documents of each domain span 14 dimensions; the scatter has 60, or fewer where it decays."""
    draw, d = random(8), 60
    spectrum = np.arange(1, d + 1.0) ** -decay
    x = np.sqrt(spectrum) * draw.standard_normal((2, 4000, 8, d)) + 5 * draw.standard_normal((2, 1, 1, d))
    ab, aa, bb = grams(*x)
    squared = document_gradients.squared_covariance(aa)
    assert squared.mean() == pytest.approx((spectrum**2).sum(), abs=4 * squared.std() / 4000**0.5)
    truth = spectrum.sum() ** 2 / (spectrum**2).sum()
    assert np.median(document_gradients.noise_dimension(ab, aa, bb)) == pytest.approx(truth, rel=0.2)


def test_too_few_documents_are_one_line():
    x = np.ones((3, 5))
    with pytest.raises(InputError, match="3 documents"):
        document_gradients.mean_cosine_interval(*grams(x, x))
    with pytest.raises(InputError, match="3 documents"):
        document_gradients.noise_dimension(*grams(x, x))
