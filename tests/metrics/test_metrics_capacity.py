"""Dimensions that hold the energy, extrapolations of planted curves, and intervals."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import capacity, intervals


def test_dimensions_are_the_smallest_number_that_holds_the_energy():
    spectrum = np.array([5.0, 3.0, 1.0, 1.0])
    k = capacity.dimensions(spectrum, [0.5, 0.5001, 0.8, 0.9, 1.0])
    assert np.ceil(k).tolist() == [1, 2, 2, 3, 4]
    np.testing.assert_allclose(k[:3], [1, 1 + 0.001 / 3, 2])
    assert capacity.dimensions(spectrum[::-1], [0.8]) == 2, "in any order"
    assert np.isnan(capacity.dimensions(np.zeros(4), [0.5]))
    np.testing.assert_allclose(capacity.dimensions(np.ones(100), [0.95, 0.99]), [95, 99])
    with pytest.raises(InputError, match="not finite"):
        capacity.dimensions(np.array([np.nan, 1]), [0.5])


def test_extrapolation_finds_planted_curves():
    t = np.arange(1, 6.0)[:, None]
    full = capacity.until_full(10 + 15 * t, 100)
    np.testing.assert_allclose(full["linear"], 6)
    full = capacity.until_full(200 * -np.expm1(-t / 4), 100)
    assert full["saturating"] == pytest.approx(4 * np.log(2), rel=0.01)
    full = capacity.until_full(80 * -np.expm1(-t / 2), 100)
    assert np.isinf(full["saturating"]).all() and np.isfinite(full["linear"]).all()
    assert all(np.isinf(x).all() for x in capacity.until_full(np.full((4, 1), 30.0), 100).values())
    assert all(np.isnan(x).all() for x in capacity.until_full(np.full((1, 1), 30.0), 100).values())
    proportional = capacity.until_full(7 * t, 100)
    assert proportional["saturating"] == pytest.approx(100 / 7, rel=0.02), "a line is a late curve"


def test_intervals_cover(documents=16, width=24):
    """Truth: the mean over many draws of as many documents, each with directions of its own."""
    rng = np.random.default_rng(2)
    result, energy = [], [0.9]
    scale = np.arange(1, width + 1.0) ** -0.7
    for _ in range(400):
        x = (
            rng.normal(size=(documents, 20, width))
            * np.exp(0.3 * rng.normal(size=(documents, 1, width)))
            * scale
        )
        moments = capacity.replicates(np.swapaxes(x, -1, -2) @ x)
        k = capacity.dimensions(np.linalg.eigvalsh(moments), energy)[:, 0]
        result.append([k[0], *intervals.jackknife_interval(k)])
    value, low, high = np.array(result).T
    covered = np.mean((low <= value.mean()) & (value.mean() <= high))
    assert 0.92 <= covered <= 0.98, covered


def test_layers_are_evenly_spaced():
    assert capacity.layers_of(30, 4) == [0, 10, 19, 29]
    assert capacity.layers_of(3, 8) == [0, 1, 2] and capacity.layers_of(5, 1) == [4]
    assert capacity.layers_of(4, 0) == [] and capacity.layers_of(1, 1) == [0]


def test_dimensions_are_read_off_between_two_and_rounding_costs_none():
    """Of energies 6, 3, 1: the first holds 0.6; 0.75 takes half of the second, 0.95 half of the third."""
    k = capacity.dimensions([[6.0, 3, 1], [0, 0, 0]], [0.3, 0.75, 0.95])
    np.testing.assert_allclose(k[0], [0.5, 1.5, 2.5])
    assert k.shape == (2, 3) and np.isnan(k[1]).all()
    assert capacity.dimensions([6.0, 3, 1], 0.5).shape == (1,)
    assert capacity.dimensions([2.0, 1, -0.5], [1.0]) == 2, "a negative eigenvalue is none"
    fifth = capacity.dimensions(np.full(5, 0.3), [1 / 5])
    assert np.ceil(fifth) == 1, "a fifth of the sum of five is more than one of them, by rounding"


def test_replicates_are_all_groups_and_all_but_each_with_trace_1():
    groups = np.array([np.diag([1.0, 0]), np.diag([0, 3.0]), [[2.0, 1], [1, 2]]])
    result = capacity.replicates(groups)
    np.testing.assert_allclose(result[0], np.array([[3, 1], [1, 5]]) / 8)
    without = [[[2, 1], [1, 5]], [[3, 1], [1, 2]], [[1, 0], [0, 3]]]
    np.testing.assert_allclose(result[1:], [np.array(x) / np.trace(x) for x in without])
    np.testing.assert_allclose(capacity.replicates(groups[:1]), [np.diag([1.0, 0])])
    assert (capacity.replicates(np.zeros((3, 2, 2))) == 0).all()
    np.testing.assert_allclose(capacity.replicates(groups * [[[1]], [[1]], [[0]]])[1], np.diag([0, 1.0]))


def test_a_number_that_is_not_known_spoils_its_own_layer_alone():
    used = np.stack([np.arange(1, 4.0) * 10, [10, np.nan, 30]], axis=1)
    full = capacity.until_full(used, 100)
    np.testing.assert_allclose(full["linear"], [10, np.nan])
    assert np.isnan(full["saturating"][1]) and np.isfinite(full["saturating"][0])
    assert capacity.until_full(np.zeros((3, 2, 4)), 100)["linear"].shape == (2, 4)
