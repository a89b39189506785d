"""Sets of neurons: what a random renaming of neurons makes of a sum."""

import numpy as np
import pytest

from implicit_sparsity.metrics.neuron_sets import renamed


def test_renaming_is_exact():
    rng = np.random.default_rng(0)
    energy, k = rng.gamma(0.5, size=30), 7
    drawn = np.array([energy[rng.permutation(30)[:k]].sum() for _ in range(20000)])
    mean, variance = renamed(k, energy)
    assert drawn.mean() == pytest.approx(mean, rel=0.02) and drawn.var() == pytest.approx(variance, rel=0.05)
