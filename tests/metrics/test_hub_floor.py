"""The floor of hubs."""

import numpy as np
import pytest

from implicit_sparsity.metrics import hub_floor, overlap


@pytest.mark.parametrize(
    ("n", "k", "spread", "error"), [(1536, 15, 1.0, 0.01), (400, 40, 2.0, 0.01), (64, 6, 1.0, 0.025)]
)
def test_the_floor_of_hubs_is_that_of_random_draws(n, k, spread, error):
    """Against sets drawn one by one in proportion to use; equal use is plain chance."""
    rng = np.random.default_rng(0)
    use = rng.lognormal(0, spread, n)
    sets = overlap.top_k_sets(np.log(use) + rng.gumbel(size=(3000, n)), k).astype(np.float32)
    both = (sets @ sets.T)[np.triu_indices(3000, 1)]
    drawn = (both / (2 * k - both)).mean()
    assert hub_floor.hub_matched_iou(use, k) == pytest.approx(drawn, rel=error + 0.01)  # the draws' own error
    assert hub_floor.hub_matched_iou(np.ones(n), k) == pytest.approx(overlap.chance_iou(n, k), rel=0.01)
    assert hub_floor.hub_matched_iou(use, k) > overlap.chance_iou(n, k)
    assert np.isnan(hub_floor.hub_matched_iou(np.eye(n)[0], 2))
