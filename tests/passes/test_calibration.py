"""Thresholds realise the share of zeros that was asked for."""

import numpy as np
import pytest

from implicit_sparsity.passes import accumulators, calibration


def test_quantiles_of_half_octaves_realise_the_share_asked_for():
    """Half an octave is fine enough: of activations as SwiGLU makes them, the share below is within 0.5 %."""
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((2, 200_000)) * np.array([[1.5], [0.7]])
    h = np.abs(a / (1 + np.exp(-a)) * b)
    edges = accumulators.bin_edges()
    counts = np.bincount(np.searchsorted(edges, h, side="right") - 1, minlength=len(edges))
    for level in (0.01, 0.25, 0.5, 0.7, 0.9, 0.99, 0.999):
        threshold = calibration.quantiles(counts, level)
        assert (h < threshold).mean() == pytest.approx(level, abs=0.005)
        assert threshold == pytest.approx(np.quantile(h, level), rel=0.03 if level < 0.99 else 0.08)


def test_quantiles_of_zeros_of_nothing_and_of_level_nought():
    counts = np.zeros((3, accumulators.BINS), int)
    counts[0, 0], counts[0, 70], counts[1, 95] = 60, 40, 10
    result = calibration.quantiles(counts, 0.5)
    assert 0 < result[0] < 1e-9, "the share of zeros is above the level: only they are zero"
    assert 2.0**15.5 < result[1] < 2.0**16 and np.isnan(result[2])
    edge = accumulators.bin_edges()
    assert edge[70] < calibration.quantiles(counts, 0.8)[0] < edge[71]
    assert calibration.quantiles(counts, 0.0)[:2].tolist() == [0, 0]


def test_an_expert_that_no_token_reached_takes_its_layers_threshold():
    counts = np.zeros((1, 3, accumulators.BINS), int)
    counts[0, 0, 60], counts[0, 2, 80] = 100, 100
    result = calibration.Calibration(counts, np.ones((1, 4))).thresholds(0.25)[0]
    assert result[1] == calibration.quantiles(counts.sum(1), 0.25)[0]
    assert result[0] < result[1] < result[2]
