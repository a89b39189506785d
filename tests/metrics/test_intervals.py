"""Intervals over documents: of a mean those of Student, and they cover what they estimate."""

import numpy as np
import planted
import pytest

from implicit_sparsity.metrics import clusters, intervals


def test_the_interval_of_a_mean_is_students():
    x = np.random.default_rng(0).normal(size=(40, 3))
    counts = np.ones((40, 1))
    value, low, high = intervals.smooth_interval(lambda s: s[0] / s[1], (x, counts), draws=4000)
    np.testing.assert_allclose(value, x.mean(0))
    error = x.std(0, ddof=1) / 40**0.5 * 2.0227  # t(39)
    np.testing.assert_allclose((high - low) / 2, error, rtol=0.06)
    half = intervals.half_samples(40, 4000)
    assert set(half.sum(1)) == {20}
    drawn = intervals.half_sample_variance(half @ x / 20, 40)
    np.testing.assert_allclose(drawn, x.var(0, ddof=1) / 40, rtol=0.1)


@pytest.mark.parametrize("documents", [8, 16, 40])
def test_intervals_of_means_cover(documents):
    random = np.random.default_rng(10)
    nats = random.gamma(4.0, 0.25, (2000, documents))  # mean 1, skewed as divergences are
    for scale in ("log", "linear"):
        low, high = intervals.jackknife_interval(clusters.leave_one_out(nats, range(documents)), scale)
        assert 0.92 <= np.mean((low <= 1) & (high >= 1)) <= 0.98, scale
    linear = intervals.jackknife_interval(clusters.leave_one_out(nats[0], range(documents)))
    from scipy.stats import sem, t

    reach = t.ppf(0.975, documents - 1) * sem(nats[0])
    assert linear == pytest.approx([nats[0].mean() - reach, nats[0].mean() + reach])


@pytest.mark.parametrize("sizes", [(4,) * 10, (1, 2, 3, 6) * 4], ids=["10 groups", "16 unequal groups"])
def test_leaving_out_groups_covers_where_their_documents_are_nearly_one(sizes):
    """An intraclass correlation of 0.9 of log-normal values; leaving out documents would not do."""
    random, names = np.random.default_rng(11), np.repeat(np.arange(len(sizes)), sizes)
    values = np.exp(0.5 * np.array([planted.clustered(random, names, 0.9) for _ in range(2000)]))
    truth, shares = np.exp(0.125), []
    for groups, counts in ((names, sizes), (np.arange(len(names)), None)):
        left = clusters.leave_one_out(values, groups)
        low, high = intervals.jackknife_interval(left, "log", sizes=counts)
        shares.append(np.mean((low <= truth) & (truth <= high)))
    assert 0.92 <= shares[0] <= 0.98 and shares[1] < 0.8, shares


def test_the_paired_interval_of_a_ratio_is_that_of_the_mean_where_denominators_are_equal():
    groups = list("aaabbcdddeefghij")
    above = np.random.default_rng(0).normal(size=len(groups)) + 3
    result = intervals.paired_interval(np.divide, groups, above, np.full(len(groups), 2.0))
    mean = clusters.clustered_mean(above / 2, groups)
    assert result == pytest.approx((mean.value, *intervals.mean_interval(mean)))
    _, *ends = intervals.paired_interval(np.divide, list("aabbcc"), *np.ones((2, 6)))
    assert np.isnan(ends).all(), "three groups make no interval"
