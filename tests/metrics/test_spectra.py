"""Spectra, CKA and dormancy whose answer is known by construction."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import spectra


def rotated(values, rows=40, columns=30, seed=0):
    """A matrix with these singular values, in random bases."""
    random = np.random.default_rng(seed)
    u, _ = np.linalg.qr(random.standard_normal((rows, len(values))))
    v, _ = np.linalg.qr(random.standard_normal((columns, len(values))))
    return u @ np.diag(values) @ v.T


def test_planted_spectrum():
    assert spectra.effective_rank(rotated([3.0] * 7)) == pytest.approx(7)
    assert spectra.stable_rank(rotated([3.0] * 7)) == pytest.approx(7)
    assert spectra.effective_rank(rotated([5.0])) == pytest.approx(1)
    p = np.array([0.5, 0.25, 0.25])
    assert spectra.effective_rank(rotated(4 * p)) == pytest.approx(2**1.5)
    assert spectra.stable_rank(rotated([2.0, 1.0, 1.0])) == pytest.approx(1.5)
    stack = np.stack([rotated([1.0] * k) for k in (2, 5)])
    assert spectra.effective_rank(stack) == pytest.approx([2, 5])
    assert np.isnan(spectra.effective_rank(np.zeros((3, 3)))) and np.isnan(
        spectra.stable_rank(np.zeros((3, 3)))
    )


def test_cka_is_one_for_a_rotation_and_zero_for_the_unrelated():
    random = np.random.default_rng(1)
    x = random.standard_normal((50, 200))
    turn, _ = np.linalg.qr(random.standard_normal((200, 200)))
    for debiased in (True, False):
        assert spectra.linear_cka(x, 3 * x @ turn + 5, debiased) == pytest.approx(1.0)
    unrelated = [
        spectra.linear_cka(*np.random.default_rng(s).standard_normal((2, 50, 200))) for s in range(200)
    ]
    assert np.mean(unrelated) == pytest.approx(0, abs=4 * np.std(unrelated) / 200**0.5)
    biased = spectra.linear_cka(x, random.standard_normal((50, 200)), debiased=False)
    assert biased > 0.7, "with more features than inputs the plain CKA of noise is near one"


def test_debiased_cka_recovers_a_planted_share():
    """Y = a shared part of X and as much noise of its own, infinitely many features: CKA = share / norm."""
    result, n, p = [], 100, 3000
    for seed in range(30):
        random = np.random.default_rng(seed)
        shared, mine, yours = (random.standard_normal((n, 4)) for _ in range(3))
        maps = random.standard_normal((8, p)) / p**0.5, random.standard_normal((8, p)) / p**0.5
        result.append(
            spectra.linear_cka(np.hstack([shared, mine]) @ maps[0], np.hstack([shared, yours]) @ maps[1])
        )
    assert np.mean(result) == pytest.approx(0.5, abs=0.03)


def test_cka_of_what_does_not_vary_is_nan_and_too_few_inputs_are_one_line():
    assert np.isnan(spectra.linear_cka(np.ones((9, 3)), np.random.default_rng(0).standard_normal((9, 3))))
    with pytest.raises(InputError, match="4 inputs"):
        spectra.linear_cka(np.eye(3), np.eye(3))
    with pytest.raises(InputError, match="9 and 8"):
        spectra.linear_cka(np.ones((9, 3)), np.ones((8, 3)))


def test_planted_dormant_units():
    means = np.ones((2, 100))
    means[0, :30] = 0.01
    assert spectra.dormant_share(means, 0.1) == pytest.approx([0.3, 0.0])
    assert spectra.dormant_share(np.array([0.0, 1, 1, 2]), 0.0) == 0.25
    assert spectra.dormant_share(np.zeros(4), 0.1) == 1.0
    with pytest.raises(InputError):
        spectra.dormant_share(np.array([-1.0, 1.0]), 0.1)
