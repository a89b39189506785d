"""Fronts with planted gains and forgetting: what is read off them."""

import numpy as np
import planted_fronts
import pytest

from implicit_sparsity.metrics import fronts
from implicit_sparsity.metrics.continual import metrics


def test_points_are_the_metrics_of_each_run():
    family = planted_fronts.family(
        np.random.default_rng(0), planted_fronts.documents(0), (0.2, 0.5), (0.1, 0.3)
    )
    gain, forgotten = family.each()
    for p, s in np.ndindex(gain.shape):
        R = np.array([[x[p, s, k].mean() for x in family.runs] for k in range(3)])
        result = metrics(R, [b.mean() for b in family.base], higher_is_better=False)
        assert gain[p, s] == pytest.approx(result["learned_gain"])
        assert forgotten[p, s] == pytest.approx(result["forgetting"])
    lost = np.mean([x.mean(axis=-1) for x in family.lost()], axis=0)
    np.testing.assert_allclose(lost, forgotten.mean(axis=1), err_msg="documents add up to the metric")


def test_counting_each_document_once_changes_nothing_and_draws_repeat_documents():
    family = planted_fronts.family(
        np.random.default_rng(1), planted_fronts.documents(1), (0.2, 0.5), (0.1, 0.3)
    )
    ones = [np.ones((1, len(b))) for b in family.base]
    np.testing.assert_allclose(family.points(ones)[1][0], family.points()[1])
    counts = fronts.draw_documents(["abcde", "aaabbbccc"], 50)
    assert [c.shape for c in counts] == [(50, 5), (50, 9)] and set(counts[0].sum(axis=1)) == {5}
    assert (counts[1][:, 0] == counts[1][:, 2]).all(), "a group is drawn whole"


def test_a_domain_drawn_with_large_groups_is_still_a_mean():
    family = planted_fronts.family(0, planted_fronts.documents(0, (6, 6)), (0.2,), (0.1,), document=0, cell=0)
    counts = fronts.draw_documents(["aaaabc", "abcccc"], 30)
    gain, forgotten = family.points(counts)
    np.testing.assert_allclose(gain, np.full((30, 1), family.points()[0]))
    np.testing.assert_allclose(forgotten, np.full((30, 1), family.points()[1]))


def test_learned_gain_of_documents_adds_up():
    family = planted_fronts.family(2, planted_fronts.documents(2), (0.2, 0.5), (0.1, 0.3))
    gained = np.mean([x.mean(axis=-1) for x in family.gained()], axis=0)
    np.testing.assert_allclose(gained, family.points()[0])


def test_a_front_is_piecewise_linear():
    gain, forgotten = np.array([0.4, 0.1, np.nan, 0.2]), np.array([0.9, 0.1, np.nan, 0.3])
    for at, expected in ((0.1, 0.1), (0.15, 0.2), (0.2, 0.3), (0.3, 0.6), (0.4, 0.9)):
        weights = fronts.front_weights(gain, at)
        assert weights.sum() == pytest.approx(1) and weights[2] == 0
        assert fronts.on_front(weights, forgotten) == pytest.approx(expected)
        assert expected == pytest.approx(np.interp(at, [0.1, 0.2, 0.4], [0.1, 0.3, 0.9]))
    assert fronts.spans(gain, 0.4) and not fronts.spans(gain, 0.41) and not fronts.spans(gain * np.nan, 0.4)
    many = fronts.front_weights(np.stack([gain, gain]), np.array([0.15, 0.3]))
    np.testing.assert_allclose(fronts.on_front(many, forgotten), [0.2, 0.6])
    assert fronts.on_front(fronts.front_weights(np.array([0.3]), 0.5), np.array([7.0])) == 7


def test_where_methods_are_compared():
    gains = {"lora": np.array([0.1, 0.3, 0.5]), "mask": np.array([0.2, 0.4]), "one": np.array([0.05])}
    assert fronts.equal_learning(gains, "reference", "lora") == 0.3
    assert fronts.equal_learning(gains, "common", "lora") == 0.4, "one point is no front"
    assert fronts.equal_learning(gains, 0.25, "lora") == 0.25
    assert np.isnan(fronts.equal_learning(gains, "reference", "none"))


def test_noise_floor_pools_what_is_repeated():
    sd, widest, runs = fronts.noise([[1.0, 3.0], [5.0, 5.0], [2.0, np.nan]])
    assert (sd, widest, runs) == (1.0, 2.0, 4)
    assert np.isnan(fronts.noise([[1.0], [2.0]])[0])
