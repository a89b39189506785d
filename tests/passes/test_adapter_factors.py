"""Arithmetic on planted factors, against the products that it never forms."""

import numpy as np

from implicit_sparsity.passes import adapter_factors


def test_ranks_that_two_adapters_share_cancel_in_any_order():
    rng = np.random.default_rng(0)
    right, left = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4, 5))
    now = right[:, [3, 0, 0, 4]], left[:, :, [3, 0, 0, 4]]
    old = right[:, [0, 1, 3]], left[:, :, [0, 1, 3]]
    a, b = adapter_factors.difference(now, old)
    assert a.shape == (2, 3, 3), "0 once more and 4 are new, 1 is gone"
    np.testing.assert_allclose(b @ a, now[1] @ now[0] - old[1] @ old[0], atol=1e-12)
    assert adapter_factors.difference(old, old)[0].shape == (2, 0, 3)


def test_energies_of_rows_and_columns_are_those_of_the_product():
    rng = np.random.default_rng(1)
    left, right = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 3, 6))
    for axis in (0, 1):
        expected = ((left @ right) ** 2).sum(axis=2 - axis)
        np.testing.assert_allclose(adapter_factors.product_energies(left, right, axis), expected)
