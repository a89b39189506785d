"""Sparsity measures: their extremes, what leaves them unchanged, vectors by hand; critical sparsity."""

import numpy as np
import pytest
from planted import SHARES

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import sparsity
from implicit_sparsity.metrics.sparsity import gini, hoyer, participation_ratio, top_p_share

N = 16
FLAT, SPIKE = np.ones(N), np.eye(N)[3]


@pytest.mark.parametrize(
    ("measure", "flat", "spike"),
    [(hoyer, 0, 1), (gini, 0, 1 - 1 / N), (participation_ratio, 1, 1 / N)],
)
def test_extremes(measure, flat, spike):
    np.testing.assert_allclose(measure(np.stack([FLAT, SPIKE])), [flat, spike], atol=1e-12)


@pytest.mark.parametrize("measure", [hoyer, gini, participation_ratio, lambda x: top_p_share(x, 0.8)])
def test_scale_sign_and_order_do_not_matter(measure):
    x = np.random.default_rng(0).exponential(size=(5, 40))
    expected = measure(x)
    shuffled = x[:, np.random.default_rng(1).permutation(40)]
    for other in (x * 1e-200, x * 1e200, -x, shuffled):
        np.testing.assert_allclose(measure(other), expected, rtol=1e-9)
    assert expected.shape == (5,)


@pytest.mark.parametrize("measure", [hoyer, gini, participation_ratio, lambda x: top_p_share(x, 0.8)])
def test_zeros_and_nan_have_no_sparsity(measure):
    values = measure(np.array([[0.0, 0, 0], [1, np.nan, 2], [1, 2, 3]]))
    assert np.isnan(values[:2]).all() and np.isfinite(values[2])
    with pytest.raises(InputError):
        measure(np.zeros((3, 0)))


def test_by_hand():
    x = np.array([1.0, 2, 3, 4])
    assert hoyer(x) == pytest.approx((2 - 10 / np.sqrt(30)) / 1)
    assert gini(x) == pytest.approx(sum(abs(a - b) for a in x for b in x) / (2 * 4 * x.sum()))
    assert participation_ratio(x) == pytest.approx(30**2 / (1 + 16 + 81 + 256) / 4)


@pytest.mark.parametrize(("p", "share"), [(0.4, 0.25), (0.41, 0.5), (0.7, 0.5), (0.9, 0.75), (1.0, 1.0)])
def test_top_p_is_the_smallest_set_that_reaches_p(p, share):
    assert top_p_share(np.array([1.0, 2, 3, 4]), p) == share


def test_top_p_of_equal_parts_is_not_off_by_rounding():
    assert top_p_share(np.full(10, 0.1), 0.3) == pytest.approx(0.3)
    for p in (0, -0.1, 1.1, np.nan):
        with pytest.raises(InputError):
            top_p_share(FLAT, p)


def critical(shares, losses, groups=None, **more):
    """``critical_sparsity``, each document a group of its own where none are named."""
    groups = range(np.shape(losses)[1]) if groups is None else groups
    return sparsity.critical_sparsity(shares, losses, groups, **more)


def curve(power, growth, documents=1):
    return np.tile(2 * (1 + growth * SHARES[:, None] ** power), documents)


@pytest.mark.parametrize("power, growth", [(1, 0.02), (2, 0.1), (4, 0.3), (8, 5.0)])
def test_a_smooth_curve_is_inverted(power, growth):
    value, low, high = critical(SHARES, curve(power, growth, 6))
    assert value == pytest.approx((0.01 / growth) ** (1 / power), abs=0.01)
    assert low == pytest.approx(value, abs=1e-6) and high == pytest.approx(value, abs=1e-6)
    more = critical(SHARES, curve(power, growth, 6), tolerance=0.02)[0]
    assert more == pytest.approx(min((0.02 / growth) ** (1 / power), 0.99), abs=0.01)


def test_what_gets_better_first_and_what_recovers_later():
    """Within tolerance means at every share up to there; a dip below dense gives room, no loss of it."""
    losses = np.array([1, 0.97, 0.98, 1.0, 1.05, 1.0, 1.2, 1.5, 2])[:, None]
    value = critical(SHARES, losses)[0]
    assert 0.5 < value < 0.6


def test_never_and_always():
    flat = np.ones((len(SHARES), 6))
    assert critical(SHARES, flat) == (0.99, 0.99, 1.0)
    jump = flat.copy()
    jump[1:] = 5
    value, low, high = critical(SHARES, jump)
    assert 0 <= low <= value <= high < 0.05
    already = np.maximum(SHARES, 0.6)  # exact zeros, as with ReLU: the first shares are one
    value, *_ = critical(already, np.where(already > 0.75, 2.0, 1.0)[:, None])
    assert 0.7 < value < 0.8
    assert np.isnan(critical(SHARES, curve(4, 0.3, 3))[1:]).all()


@pytest.mark.parametrize("documents, each", [(8, 1), (32, 1), (36, 3)])
@pytest.mark.parametrize("heavy", [0.2, 0.5])
def test_interval_covers_the_planted_critical_sparsity(documents, each, heavy):
    """Documents differ in length, in how much they suffer, and by noise that goes on from level to level;
    ``each`` of a group suffer alike, which an interval over documents would take for as many witnesses."""
    truth = critical(SHARES, curve(4, 0.3))[0]
    draw, covered = np.random.default_rng(3), []
    for _ in range(600):
        dense = 2 * np.exp(heavy * draw.standard_normal(documents) - heavy**2 / 2)
        suffer = 0.3 * np.exp(0.6 * np.repeat(draw.standard_normal(documents // each), each) - 0.18)
        noise = 0.04 * draw.standard_normal((len(SHARES), documents)).cumsum(0) * SHARES[:, None]
        losses = dense * (1 + suffer * SHARES[:, None] ** 4 + noise)
        _, low, high = critical(SHARES, losses, np.arange(documents) // each)
        covered.append(low <= truth <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_few_groups_of_many_documents_have_no_interval():
    assert np.isnan(critical(SHARES, curve(4, 0.3, 12), np.arange(12) % 3)[1:]).all()


@pytest.mark.parametrize("off", [0.0005, -0.0005])
def test_the_numerical_floor_is_that_of_the_loss_over_the_slope(off):
    losses = np.tile(1 + 0.01 / 0.55 * SHARES[:, None], 6)  # crosses at 0.55, between two shares
    again = losses + off * (SHARES[:, None] > 0)
    assert sparsity.numerical_floor(SHARES, losses, losses) == 0
    expected = pytest.approx(0.0005 * 0.55 / 0.01, rel=0.01)
    assert sparsity.numerical_floor(SHARES, losses, again) == expected
    again[4] = losses[4]  # two kernels that agree at one share by chance
    assert sparsity.numerical_floor(SHARES, losses, again) == expected
    one, two = critical(SHARES, losses)[0], critical(SHARES, losses + off * (SHARES[:, None] > 0))[0]
    assert abs(one - two) <= sparsity.numerical_floor(SHARES, losses, again) * (1 + 1e-9)


def test_the_numerical_floor_of_a_lower_bound():
    losses = np.tile(1 + 0.005 * SHARES[:, None] ** 4, 6)
    again = losses + 0.02 * (SHARES[:, None] > 0.8)
    floor = sparsity.numerical_floor(SHARES, losses, again)
    assert 0.09 < floor < 0.2, "the other kernel crosses between the shares around 0.8"
