"""Tests of means over groups of documents: the t-test where each is its own, coverage where they cluster."""

import numpy as np
import planted
import pytest
from scipy import stats

from implicit_sparsity.metrics import clusters, intervals

STUDIES = 2000
SHAPES = {  # documents of each group
    "equal": lambda groups: np.full(groups, 4),
    "one in four large": lambda groups: np.where(np.arange(groups) < groups // 4, 8, 1),
    "one holds a third": lambda groups: np.array([groups, *[2] * (groups - 1)]),
}


def covered(rng, sizes, correlation, one_each=False):
    """(coverage of 0 by the 95 % interval, mean of (se, of the truth))."""
    names, hits = np.repeat(np.arange(len(sizes)), sizes), 0
    for _ in range(STUDIES):
        values = planted.clustered(rng, names, correlation)
        low, high = intervals.mean_interval(
            clusters.clustered_mean(values, range(len(values)) if one_each else names)
        )
        hits += low <= 0 <= high
    return hits / STUDIES


def test_a_group_a_document_is_the_plain_t_interval():
    x = np.random.default_rng(0).normal(0.3, 2, 17)
    mean = clusters.clustered_mean(x, list("abcdefghijklmnopq"))
    assert mean.se == pytest.approx(stats.sem(x)) and mean.df == pytest.approx(16)
    assert mean.value == pytest.approx(x.mean()) and (mean.n, mean.groups) == (17, 17)
    assert intervals.mean_interval(mean) == pytest.approx(stats.t.interval(0.95, 16, x.mean(), stats.sem(x)))


def test_copies_of_a_document_tell_nothing_new():
    x = np.random.default_rng(1).normal(0, 1, 12)
    once = clusters.clustered_mean(x, range(12))
    thrice = clusters.clustered_mean(np.repeat(x, 3), np.repeat(range(12), 3))
    assert thrice[:3] == pytest.approx(once[:3]) and (thrice.n, thrice.groups) == (36, 12)


def test_it_is_the_jackknife_that_leaves_out_a_group():
    rng = np.random.default_rng(2)
    names = list("aaabbcddddeeeee")
    values = rng.normal(0, 1, len(names))
    without = np.array([values[[n != g for n in names]].mean() for g in "abcde"])
    expected = np.sqrt(4 / 5 * ((without - values.mean()) ** 2).sum())
    assert clusters.clustered_mean(values, names).se == pytest.approx(expected)
    means = clusters.leave_one_out(values, names)
    assert means.tolist() == pytest.approx([values.mean(), *without])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("correlation", [0.0, 0.9])
@pytest.mark.parametrize("groups", [10, 40])
def test_intervals_cover_from_ten_groups_on(shape, correlation, groups):
    """92 to 98 % by right; the band leaves 2 SD of 2,000 studies."""
    result = covered(np.random.default_rng(groups), SHAPES[shape](groups), correlation)
    assert 0.91 < result <= 0.986


@pytest.mark.parametrize("groups", [4, 40])
def test_documents_by_themselves_do_not_cover(groups):
    assert covered(np.random.default_rng(3), SHAPES["equal"](groups), 0.9, one_each=True) < 0.75


def test_freedom_is_that_of_the_quadratic_form():
    """(tr S)^2 / tr S^2 of the covariance of the moves, written out as matrices."""
    sizes = np.array([8, 8, 3, 3, 1, 1, 1, 1, 1, 1])
    shares = sizes / sizes.sum()
    moves = (shares / (1 - shares))[:, None] * (np.eye(10) - shares)
    covariance = (moves / sizes) @ moves.T
    expected = np.trace(covariance) ** 2 / (covariance**2).sum()
    assert clusters.freedom(sizes) == pytest.approx(expected)
    assert clusters.freedom([5] * 9) == pytest.approx(8)


def test_too_few_to_tell():
    assert np.isnan(clusters.clustered_mean([], []).value)
    one = clusters.clustered_mean([1.0, 2.0], ["a", "a"])
    assert (one.value, one.groups) == (1.5, 1) and np.isnan([one.se, *intervals.mean_interval(one)]).all()
    assert clusters.clustered_mean([2.0, 2.0], "ab").se == 0
    assert [clusters.trusted(g) for g in (9, 10, [40, 9], [10, 11], 0)] == [False, True, False, True, False]


def test_a_draw_takes_groups_whole():
    names = list("abbaccc")
    counts = clusters.draw(names, 500, np.random.default_rng(4))
    assert (counts[:, 0] == counts[:, 3]).all() and (counts[:, 4] == counts[:, 6]).all()
    assert (counts[:, [0, 1, 4]].sum(axis=1) == 3).all() and abs(counts[:, 0].mean() - 1) < 0.15
