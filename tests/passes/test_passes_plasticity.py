"""Plasticity measured: tasks, planted ranks and dormant neurons."""

import numpy as np
import pytest

from implicit_sparsity.metrics import intervals, spectra
from implicit_sparsity.passes import plasticity


def test_a_task_is_arbitrary_and_its_own():
    options = {"pairs": 50, "prompt": 3, "completion": 5}
    first, again, other = (plasticity.task(seed, 30, [0, 7], options) for seed in (0, 0, 1))
    ids = np.array([document.ids for document in first])
    assert ids.shape == (50, 8) and set(ids.ravel().tolist()) == set(range(30)) - {0, 7}
    assert (ids == [document.ids for document in again]).all()
    assert (ids != [document.ids for document in other]).any()
    assert first[0].prompt.tolist() == [True] * 3 + [False] * 5


def test_planted_ranks():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(40, 3)))[0]
    x = np.kron(np.eye(3), np.ones((8, 1)))  # three corners, eight times each
    hidden = np.stack([x @ basis.T, rng.normal(size=(24, 40))])
    result = plasticity.ranks(hidden, np.tile(np.arange(8), 3))
    np.testing.assert_allclose(
        result["effective_rank"][0], 2
    )  # three points less their mean span two directions
    np.testing.assert_allclose(result["stable_rank"][0], 2)
    assert 15 < result["effective_rank"][1, 0] <= 23
    centred = hidden[1] - hidden[1].mean(axis=0)
    assert result["stable_rank"][1, 0] == pytest.approx(float(spectra.stable_rank(centred)))


@pytest.mark.parametrize("decay", [0.5, 1.0])
def test_intervals_of_ranks_cover(decay, documents=12, positions=6, width=20):
    """Truth: the mean over many draws of as many documents, as everywhere."""
    rng = np.random.default_rng(1)
    scale, result = np.arange(1, width + 1.0) ** -decay, []
    owner = np.repeat(np.arange(documents), positions)
    for _ in range(400):
        means = rng.normal(size=(documents, width))
        x = (means[owner] + rng.normal(size=(len(owner), width))) * scale
        values = plasticity.ranks(x[None], owner)
        result.append([[v[0, 0], *intervals.jackknife_interval(v[0], "log")] for v in values.values()])
    value, low, high = np.array(result).transpose(2, 0, 1)
    truth = value.mean(axis=0)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert ((covered >= 0.92) & (covered <= 0.98)).all(), covered


def test_dormant_share_of_a_mixture_goes_by_routed_tokens():
    """Two experts of two neurons, a shared one of one: expert 1 is seldom chosen, yet as active when it
    is.
    """
    arrays = {
        "group_sum_abs": np.array([[[9.0, 0.0, 1.0, 1.0, 10.0]]] * 4),
        "group_tokens": np.full(4, 10),
        "group_routed_tokens": np.array([[[9, 1]]] * 4),
    }
    share = plasticity.dormant(arrays, [np.array([0, 0, 1, 1, -1])], [0.1], range(4))
    np.testing.assert_array_equal(share, np.full((1, 1, 5), 0.2))
    two = plasticity.dormant(arrays, [np.array([0, 0, 1, 1, -1])], [0.1], "abab")
    assert two.shape == (1, 1, 3), "documents of a group are left out together"
    arrays["group_sum_abs"][:, :, 2:4], arrays["group_routed_tokens"][:, :, 1] = 0, 0
    assert plasticity.dormant(arrays, [np.array([0, 0, 1, 1, -1])], [0.1], range(4))[0, 0, 0] == 0.6
