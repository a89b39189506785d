"""Quantities of planted products: copies of one gradient, directions shared or not, too few units."""

import numpy as np
import pytest

from implicit_sparsity.metrics import gradient_measures

COUNTS = [4, 4, 4, 4]
ZERO = np.zeros((2, 1))  # no error by sketching


def gram(*rows):
    x = np.concatenate(rows)[None]
    return x @ x.swapaxes(-1, -2)


def by_quantity(measured):
    return {(each.measure, each.quantity): each for each in measured}


def deals(random, count, n=16):
    return [random.permutation(n) for _ in range(count)]


def copies(cosine):
    """Eight copies of a gradient, and eight of another."""
    a = np.array([1.0, 0, 0])
    b = np.array([cosine, np.sqrt(1 - cosine**2), 0])
    return gram(np.tile(a, (8, 1)), np.tile(b, (8, 1)))


@pytest.mark.parametrize("cosine", [-0.5, 0.0, 0.6])
def test_copies_have_their_cosine_with_and_without_noise(cosine):
    dealt = [np.r_[0:2, 8:10, 2:4, 10:12, 4:6, 12:14, 6:8, 14:16]]  # each half: two copies of either
    result = gradient_measures.cosines_between(copies(cosine), COUNTS, np.array([3]), ZERO, dealt, 100)
    values = {quantity: each.values[0] for (_, quantity), each in by_quantity(result).items()}
    assert values["signal"] == pytest.approx(cosine) and values["disattenuated"] == pytest.approx(cosine)
    assert values["ceiling"] == pytest.approx(1) and values["sep"] == pytest.approx(1 - cosine)
    assert values["permuted"] == pytest.approx(1), "halves that are alike"
    assert values["floor"] == pytest.approx(np.sqrt(2 / (3 * np.pi))) and values["sketch_error"] == 0
    (ceiling, d_eff) = gradient_measures.cosines_within(copies(1.0)[:, :8, :8], [4, 4])
    assert ceiling.values == pytest.approx(1) and (d_eff.quantity, d_eff.unit) == ("d_eff", "dimensions")


def test_an_error_by_sketching_widens_the_interval():
    random = np.random.default_rng(0)
    products = gram(np.eye(24)[0] + 0.2 * random.normal(size=(16, 24)))
    plain, wide = (
        by_quantity(
            gradient_measures.cosines_between(products, COUNTS, np.array([24]), each, deals(random, 3), 200)
        )["cosine", "disattenuated"]
        for each in (ZERO, np.array([[0.1], [0.5]]))
    )
    for narrow, end in zip(plain.bounds, wide.bounds):
        assert abs(end - wide.values) == pytest.approx(np.hypot(narrow - plain.values, 0.5))


def test_directions_that_two_domains_share():
    """Each domain's documents span two directions, one of which is the other's too."""
    random, basis = np.random.default_rng(1), np.eye(6)
    rows = [random.normal(size=(8, 2)) @ basis[list(at)] for at in ((0, 1), (0, 2))]
    products, sizes = gram(*rows), np.array([6])
    result = by_quantity(gradient_measures.subspaces_between(products, COUNTS, sizes, deals(random, 5), 2))
    values = {key: each.values[0] for key, each in result.items()}
    assert values["subspace", "signal"] == pytest.approx(0.5)
    assert values["subspace", "ceiling"] == pytest.approx(1)
    assert values["subspace", "floor"] == pytest.approx(1 / 3)
    assert values["angle", "signal"] == pytest.approx(np.pi / 4, abs=1e-5)
    assert ("angle", "floor") not in result and result["angle", "permuted"].unit == "radians"
    low, high = result["subspace", "permuted"].bounds
    assert 0 <= low[0] <= values["subspace", "permuted"] <= high[0] <= 1 + 1e-9
    within = gradient_measures.subspaces_within(products[:, :8, :8], [4, 4], 2)
    assert [each.measure for each in within] == ["subspace", "angle"]
    assert within[0].values == pytest.approx(1) and within[0].k == 2


def test_too_few_units_have_a_value_and_no_interval():
    random = np.random.default_rng(2)
    products, counts = gram(random.normal(size=(6, 9))), [2, 1, 2, 1]
    few = gradient_measures.cosines_between(products, counts, np.array([9]), ZERO, deals(random, 3, 6), 100)
    cosines = by_quantity(few)
    assert np.isfinite(cosines["cosine", "signal"].values) and np.isnan(cosines["cosine", "d_eff"].values)
    assert np.isnan(cosines["cosine", "disattenuated"].bounds).all()
    shared = gradient_measures.subspaces_between(products, counts, np.array([9]), deals(random, 3, 6), 2)
    assert np.isnan([each.values[0] for each in shared if each.quantity != "floor"]).all()
