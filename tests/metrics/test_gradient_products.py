"""Products of planted gradients: groups as means, columns that add up, and what the columns leave open."""

import numpy as np
import pytest
from planted import write_gradients

from implicit_sparsity.metrics import gradient_products, gradients
from implicit_sparsity.storage.store import open_store

NAMES = np.array([[0, 0, 1, 2], [3, 4, 5, 5]])  # groups of the documents of either half


@pytest.fixture
def stores(tmp_path):
    random = np.random.default_rng(0)
    planted = {domain: random.normal(size=(2, 4, 4, 8)).astype(np.float32) for domain in ("code", "math")}
    paths = {
        d: write_gradients(tmp_path / f"{d}.zarr", x, d, columns=2, names=NAMES) for d, x in planted.items()
    }
    return planted, {domain: open_store(path) for domain, path in paths.items()}


def test_a_unit_is_the_mean_of_a_group_of_a_half(stores):
    _, datasets = stores
    units, averages = gradient_products.units(datasets)
    assert [[half.tolist() for half in units[domain]] for domain in ("code", "math")] == [
        [[0, 1, 2], [3, 4, 5]],
        [[6, 7, 8], [9, 10, 11]],
    ]
    assert averages.shape == (12, 16) and averages.sum(axis=1) == pytest.approx(1)
    assert averages[0].nonzero()[0].tolist() == [0, 1] and averages[11].nonzero()[0].tolist() == [14, 15]


def test_products_of_each_weight_and_of_the_whole(stores):
    planted, datasets = stores
    units, averages = gradient_products.units(datasets)
    result = gradient_products.products(datasets, units, averages, [("code", "math")])
    assert result.weights == [(0, "attention"), (0, "ffn"), (1, "attention"), (1, "ffn"), (-1, "all")]
    assert result.sizes.tolist() == [8, 8, 8, 8, 32]
    x = np.concatenate([values.reshape(8, 4, 8) for values in planted.values()])
    means = np.einsum("ud,dmk->muk", averages, x)
    np.testing.assert_allclose(result.grams[:4], means @ means.swapaxes(-1, -2), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.grams[4], result.grams[:4].sum(axis=0), rtol=1e-9, atol=1e-12)
    assert result.errors["code", "math"].shape == (2, 5)


def test_the_error_by_sketching_is_how_far_columns_disagree():
    """Two columns, each as good as both: leaving out one gives the cosine of the other."""
    random = np.random.default_rng(1)
    draw = [random.normal(size=8) + np.zeros((4, 8)) for _ in range(4)]  # documents of a domain are copies
    parts = np.stack([(x := np.concatenate(pair)) @ x.T for pair in (draw[:2], draw[2:])])
    places = {"a": [np.arange(2), np.arange(2, 4)], "b": [np.arange(4, 6), np.arange(6, 8)]}
    cosines = [gradients.cosine(a[0], b[0]) for a, b in (draw[:2], draw[2:])]
    error, wide = gradient_products.sketch_errors(parts, places, [("a", "b")])["a", "b"]
    assert error == pytest.approx(abs(cosines[0] - cosines[1]) / 2)
    assert wide == pytest.approx(12.7062 * error, rel=1e-4)  # Student's t of one degree of freedom
    same = gradient_products.sketch_errors(parts[[0, 0]], places, [("a", "b")])["a", "b"]
    assert same == pytest.approx((0, 0), abs=1e-12)
    assert np.isnan(gradient_products.sketch_errors(parts[:1], places, [("a", "b")])["a", "b"]).all()
