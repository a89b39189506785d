"""The passes that are planned are those that are made."""

import numpy as np
import pytest

from implicit_sparsity.options import load
from implicit_sparsity.passes import accumulators, calibration, thresholding

DOMAINS = ("code", "math", "medical")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cross": []},
        {"levels": [0.5]},
        {"levels": [0.9], "cross": [0.5, 0.9]},  # one level is on the curve, the other is not
        {"levels": [0, 0.5]},  # 0 is measured once, asked for or not
        {"levels": [0.25, 0.5], "cross": [0.5, 0.1], "random_masks": 3},
        {"numerical_floor": "none", "cross_thresholds": False},
        {"cross": [0.3], "cross_thresholds": False},
    ],
)
def test_as_many_passes_are_planned_as_there_are_ways_to_run_the_network(options):
    measurement = load("measurements", "thresholds", documents=4, **options)
    made = calibration.Calibration(np.ones((2, 1, accumulators.BINS), int), np.arange(20.0).reshape(2, 10))
    ways = thresholding.conditions("math", dict.fromkeys(DOMAINS, made), measurement.settings())
    (forward,) = measurement.passes(len(DOMAINS), 100.0, 0)
    assert forward.tokens == len(ways) * 4 * 100.0 and forward.batch_tokens == measurement.batch_tokens
