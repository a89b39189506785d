"""Cosines and subspaces whose answer is known by construction."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import gradients


def random(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("d", [30, 1000])
def test_random_cosine_is_what_random_directions_have(d):
    a, b = random().standard_normal((2, 4000, d))
    result = np.abs(gradients.cosine(a, b))
    assert result.mean() == pytest.approx(
        gradients.random_cosine(d), abs=4 * result.std() / 4000**0.5 + 0.3 / d
    )


@pytest.mark.parametrize("true", [0.0, 0.3, 0.8, 1.0])
def test_disattenuated_cosine_recovers_the_planted_one_through_noise(true):
    d, noise, runs = 2000, 3.0, 60
    draw, result, raw = random(1), [], []
    for _ in range(runs):
        a = draw.standard_normal(d)
        b = true * a + np.sqrt(1 - true**2) * draw.standard_normal(d)
        a1, a2, b1, b2 = (x + noise * draw.standard_normal(d) for x in (a, a, b, b))
        ab = np.mean([gradients.cosine(x, y) for x in (a1, a2) for y in (b1, b2)])
        result.append(gradients.disattenuated(ab, gradients.cosine(a1, a2), gradients.cosine(b1, b2)))
        raw.append(ab)
    assert np.mean(result) == pytest.approx(true, abs=0.1)
    assert np.mean(raw) < 0.3 * true + 0.02, "the raw cosine is drowned by noise"


def test_disattenuated_is_nan_where_halves_share_nothing():
    assert np.isnan(gradients.disattenuated(0.1, -0.01, 0.5)) and np.isnan(
        gradients.disattenuated(0.1, 0.5, 0.0)
    )
    assert gradients.disattenuated([0.2, 0.2], [0.25, 1.0], [1.0, 0.16]) == pytest.approx([0.4, 0.5])


def test_planted_shared_directions():
    """Two subspaces of dimension 6 that share exactly 2 directions, in any bases."""
    q, _ = np.linalg.qr(random(2).standard_normal((50, 10)))
    mix = random(3).standard_normal((2, 6, 6))
    u, v = q[:, :6] @ mix[0], q[:, [0, 1, 6, 7, 8, 9]] @ mix[1]
    assert gradients.subspace_overlap(u, v) == pytest.approx(2 / 6)
    assert gradients.principal_angles(u, v) == pytest.approx([0, 0, *[np.pi / 2] * 4], abs=1e-7)


@pytest.mark.parametrize("angle", [1e-9, 1e-4, 0.3, 1.2, np.pi / 2])
def test_planted_angle_is_resolved_however_small(angle):
    u = np.array([[1.0], [0.0], [0.0]])
    v = np.array([[np.cos(angle)], [np.sin(angle)], [0.0]])
    assert gradients.principal_angles(u, v) == pytest.approx([angle], rel=1e-6)


def test_null_of_the_subspace_overlap_is_k_over_d():
    d, k = 60, 9
    result = [gradients.subspace_overlap(*random(s).standard_normal((2, d, k))) for s in range(300)]
    assert np.mean(result) == pytest.approx(k / d, abs=3 * np.std(result) / 300**0.5)


def test_stacks_and_unequal_dimensions():
    u, v = random(4).standard_normal((3, 20, 4)), random(5).standard_normal((3, 20, 2))
    assert gradients.principal_angles(u, v).shape == (3, 2)
    one = np.array([gradients.principal_angles(a, b) for a, b in zip(u, v, strict=True)])
    assert gradients.principal_angles(u, v) == pytest.approx(one)
    overlaps = [gradients.subspace_overlap(a, b) for a, b in zip(u, v, strict=True)]
    assert gradients.subspace_overlap(u, v) == pytest.approx(overlaps)
    same = gradients.principal_angles(u, u @ random(6).standard_normal((4, 4)))
    assert same == pytest.approx(np.zeros((3, 4)), abs=1e-7)


@pytest.mark.parametrize("bad", [np.ones((5, 2)), np.full((5, 2), np.nan), np.ones(5), np.ones((2, 5))])
def test_what_spans_no_subspace_is_one_line(bad):
    with pytest.raises(InputError):
        gradients.principal_angles(bad, np.eye(5)[:, :2])


def test_impossible_dimensions_are_one_line():
    with pytest.raises(InputError, match="d = 0"):
        gradients.random_cosine(0)
    with pytest.raises(InputError, match="different spaces"):
        gradients.principal_angles(np.eye(4)[:, :2], np.eye(5)[:, :2])
