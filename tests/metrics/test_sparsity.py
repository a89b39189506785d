"""Sparsity measures: their extremes, what leaves them unchanged, and vectors worked by hand."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
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
