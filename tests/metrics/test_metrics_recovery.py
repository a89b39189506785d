"""Shares of what was forgotten: planted ones, their coverage over groups, and when there is none."""

import numpy as np
import pytest
from planted import clustered

from implicit_sparsity.metrics import clusters, intervals, recovery


def planted(rng, share, domains=3, groups=12, each=2, forgotten=0.4):
    part, whole, names = [], [], np.repeat(np.arange(groups), each)
    for _ in range(domains):
        lost = forgotten + 0.1 * clustered(rng, names, 0.9)
        whole.append(lost)
        part.append(share * lost + 0.05 * clustered(rng, names, 0.9))
    return part, whole, [names] * domains


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("domains, groups", [(1, 12), (3, 10), (1, 40)])
def test_the_share_is_covered(share, domains, groups):
    rng, inside, values = np.random.default_rng([domains, groups]), [], []
    for _ in range(400):
        result = recovery.share(*planted(rng, share, domains, groups))
        inside.append(result.low <= share <= result.high)
        values.append(result.value)
        assert result.n == domains * groups * 2 and result.groups == groups
    assert 0.92 <= np.mean(inside) <= 0.985, np.mean(inside)
    assert np.mean(values) == pytest.approx(share, abs=0.02)


def test_of_nothing_there_is_no_share():
    rng = np.random.default_rng(0)
    for forgotten in (0.0, -0.4):
        part, whole, groups = planted(rng, 0.5, forgotten=forgotten)
        none = recovery.share(part, [x - x.mean() + forgotten for x in whole], groups)
        assert np.isnan(none[:3]).all() and none.n == 72
    one = [np.zeros(24)]  # a single group has no error, so nothing is certain
    assert np.isnan(recovery.share([np.full(24, 0.2)], [np.full(24, 0.4)], one).value)


def test_a_share_without_scatter_is_exact():
    groups = [np.arange(12)]
    whole = [np.linspace(0.2, 0.6, 12)]
    quarter = recovery.share([0.25 * whole[0]], whole, groups)
    np.testing.assert_allclose(quarter[:3], 0.25, rtol=1e-6)
    still = recovery.share([np.zeros(12)], whole, groups)
    np.testing.assert_allclose(still[:3], 0, atol=1e-12)


def test_little_forgetting_makes_a_wide_share_that_leans_up():
    """Fieller: the less certain the denominator, the farther the interval reaches up."""
    names = np.repeat(np.arange(12), 2)
    lost, back = (0.1 * clustered(np.random.default_rng(seed), names, 0.9) for seed in (1, 2))
    whole, part = [lost - lost.mean() + 0.12], [0.1 * (back - back.mean()) + 0.06]
    result = recovery.share(part, whole, [names])
    assert result.value == pytest.approx(0.5)
    assert result.high - result.value > result.value - result.low > 0


def test_a_mean_over_one_domain_is_the_clustered_mean():
    rng = np.random.default_rng(2)
    values, groups = rng.normal(size=20), np.repeat(np.arange(10), 2)
    whole = clusters.clustered_mean(values, groups)
    alone = recovery.mean([values], [groups])
    np.testing.assert_allclose(alone[:3], [whole.value, *intervals.mean_interval(whole)])
    both = recovery.mean([values, values + 2], [groups, groups])
    assert both.value == pytest.approx(whole.value + 1) and both.n == 40 and both.groups == 10
    assert both.high - both.low < (alone.high - alone.low) / 1.35, "domains are independent"
