"""Tests of means over documents: equal to scipy's where it has them, worked by hand, and at their level."""

import math

import numpy as np
import planted
import pytest
from scipy import stats

from implicit_sparsity.metrics import inference
from implicit_sparsity.metrics.clusters import Mean
from implicit_sparsity.metrics.inference import detectable, holm, p_value, tost


def stratified_mean(strata):
    """Of documents that are a group each."""
    return inference.stratified_mean(strata, [range(len(x)) for x in strata])


def test_one_stratum_is_the_t_test_of_scipy():
    x = np.random.default_rng(0).normal(0.3, 1, 20)
    mean = stratified_mean([x])
    assert p_value(mean) == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    assert p_value(mean, 0.5) == pytest.approx(stats.ttest_1samp(x, 0.5).pvalue)
    assert (mean.n, mean.df) == (20, pytest.approx(19))


def test_two_strata_are_welchs_test():
    """The mean of two domain means is zero where one mean is minus the other."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.5, 1, 12), rng.normal(0.2, 3, 30)
    welch = stats.ttest_ind(a, -b, equal_var=False)
    mean = stratified_mean([a, b])
    assert p_value(mean) == pytest.approx(welch.pvalue) and mean.df == pytest.approx(welch.df)
    assert mean.value == pytest.approx((a.mean() + b.mean()) / 2), "domains count the same"


def test_tost_is_two_one_sided_tests():
    x = np.random.default_rng(2).normal(0.05, 0.2, 40)
    low = stats.ttest_1samp(x, -0.1, alternative="greater").pvalue
    high = stats.ttest_1samp(x, 0.1, alternative="less").pvalue
    assert tost(stratified_mean([x]), 0.1) == pytest.approx(max(low, high))


def test_holm_by_hand():
    """0.01 * 4; 0.02 * 3; 0.03 * 2 = 0.06, not below the one before; 0.5 alone."""
    assert holm([0.02, 0.5, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.01, np.nan, 0.04]).tolist() == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert holm([0.6, 0.9]).tolist() == [1, 1] and len(holm([])) == 0


def test_holm_keeps_the_family_wise_level():
    """Five true nulls: one is rejected at 5 % in about 5 % of the families, in 23 % without Holm."""
    p = np.random.default_rng(3).random((4000, 5))
    result = np.array([holm(row).min() < 0.05 for row in p]).mean()
    assert 0.04 < result < 0.06
    assert (p.min(axis=1) < 0.05).mean() > 0.2


def test_level_and_power_are_what_they_say():
    """Unequal domains: 5 % of nulls are rejected; of means of the detectable size, 80 %."""
    rng, sizes, spread = np.random.default_rng(4), (10, 20), (1.0, 2.0)
    true = np.sqrt(sum(s**2 / n for s, n in zip(spread, sizes))) / 2
    size = detectable(Mean(0.0, true, 28.0, 30, 10))
    rejected = {0.0: 0, size: 0}
    for _ in range(2000):
        strata = [rng.normal(0, s, n) for s, n in zip(spread, sizes)]
        for shift in rejected:
            rejected[shift] += p_value(stratified_mean([x + shift for x in strata])) < 0.05
    assert 0.04 < rejected[0.0] / 2000 < 0.06
    assert 0.77 < rejected[size] / 2000 < 0.83


def test_tost_refuses_at_the_margin_and_finds_what_is_within():
    rng, margin = np.random.default_rng(5), 0.2
    at, within = (
        np.mean([tost(stratified_mean([rng.normal(m, 0.3, 30)]), margin) < 0.05 for _ in range(2000)])
        for m in (margin, 0.0)
    )
    assert 0.035 < at < 0.065 and within > 0.9


def test_too_few_documents_or_no_spread():
    assert np.isnan(p_value(stratified_mean([[1.0], [1.0, 2.0]])))
    assert np.isnan(p_value(stratified_mean([]))) and np.isnan(tost(stratified_mean([[]]), 1.0))
    same = stratified_mean([[0.125, 0.125, 0.125]])
    assert p_value(same) == 0 and p_value(stratified_mean([[0.0, 0.0]])) == 1 and tost(same, 0.2) == 0


def test_ranks_and_their_correlation():
    from scipy.stats import rankdata, spearmanr

    x, y = np.random.default_rng(0).normal(size=(2, 6, 30))
    tied = np.round(x)
    for values in (x, tied):
        np.testing.assert_array_equal(inference.ranks(values), rankdata(values, axis=-1) - 1)
    by_rank = inference.correlation(inference.ranks(tied[0]), inference.ranks(y[0]))
    assert by_rank == pytest.approx(spearmanr(tied[0], y[0]).statistic)
    with np.errstate(all="ignore"):
        assert np.isnan(inference.correlation(np.ones(5), np.arange(5)))


def test_rank_correlations_are_scipys():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 20))
    assert inference.rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert inference.rank_correlation(x, np.ones(20)) == 0.0
    low, high = inference.fisher(0.6, 30, rank=False)
    exact = stats.pearsonr(*_with_correlation(0.6, 30)).confidence_interval()
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-3)


def _with_correlation(r, n):
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    e = rng.normal(size=n)
    x, e = x - x.mean(), e - e.mean()
    e -= e @ x / (x @ x) * x
    return x, r * x / x.std() + math.sqrt(1 - r**2) * e / e.std()


def test_coverage_of_the_difference_of_two_correlations():
    """Two predictors of one outcome, correlated with each other, of 12 and of 40 pairs: 93 to 99 %."""
    rng = np.random.default_rng(4)
    cov = np.array([[1, 0.7, 0.4], [0.7, 1, 0.3], [0.4, 0.3, 1]])
    true = [6 / np.pi * np.arcsin(r / 2) for r in (0.7, 0.4)]  # Spearman's of a normal
    for n in (12, 40):
        hits = 0
        for _ in range(600):
            outcome, first, second = rng.multivariate_normal(np.zeros(3), cov, size=n).T
            _, low, high = inference.zou_difference(outcome, first, second)
            hits += low < true[0] - true[1] < high
        assert 0.92 < hits / 600 <= 0.995, (n, hits / 600)


@pytest.mark.parametrize("groups", [10, 40])
def test_levels_hold_where_documents_of_a_group_are_nearly_one(groups):
    """Two domains, unequal groups, an intraclass correlation of 0.9: nulls are rejected in about 5 %, and at
    the margin "no forgetting" is claimed in about 5 %. With each document by itself both are far off."""
    rng = np.random.default_rng(6)
    names = [np.repeat(np.arange(groups), 1 + np.arange(groups) % 4) for _ in range(2)]
    rejected, claimed, naive = 0, 0, 0
    for _ in range(1000):
        strata = [planted.clustered(rng, name, 0.9) for name in names]
        mean = inference.stratified_mean(strata, names)
        rejected += p_value(mean) < 0.05
        naive += p_value(stratified_mean(strata)) < 0.05
        claimed += tost(mean._replace(value=mean.value + 2.0), 2.0) < 0.05
    assert mean.groups == groups and mean.n == 2 * len(names[0])
    assert 0.02 <= rejected / 1000 <= 0.08 and 0.02 <= claimed / 1000 <= 0.08
    assert naive / 1000 > 0.15


def test_the_domain_with_fewest_groups_counts():
    mean = inference.stratified_mean([[1.0, 2, 3, 4], [1.0, 2, 4]], ["aabc", "aab"])
    assert (mean.groups, mean.n) == (2, 7)
    assert np.isnan(inference.stratified_mean([[1.0, 2], [1.0, 2]], ["ab", "cc"]).se)
