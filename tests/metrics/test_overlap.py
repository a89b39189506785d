"""Overlap of top-k sets: by brute force, by construction, and against published numbers."""

import json
import math
from fractions import Fraction
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import overlap
from implicit_sparsity.metrics.overlap import (
    chance_iou,
    jensen_shannon_bits,
    separation,
    top_k_iou,
    top_k_sets,
    weighted_jaccard,
)

GOLDEN = Path(__file__).resolve().parents[3] / "shared/golden/olmoe_routing.json"


def iou_by_sets(a, b, k):
    first, second = (set(sorted(range(len(x)), key=lambda i: (-x[i], i))[:k]) for x in (a, b))
    return len(first & second) / len(first | second)


def test_iou_equals_sets_of_python_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 50, 12)).astype(float)  # few values, so many ties
    for k in (1, 3, 7, 12):
        expected = [iou_by_sets(list(x), list(y), k) for x, y in zip(a, b)]
        np.testing.assert_allclose(top_k_iou(a, b, k), expected)


def test_ties_are_broken_by_index():
    np.testing.assert_array_equal(top_k_sets(np.zeros(5), 2), [True, True, False, False, False])
    assert top_k_iou(np.ones((3, 100)), np.zeros((3, 100)), 10).tolist() == [1, 1, 1]


def test_infinite_scores_are_scores():
    assert top_k_sets([1.0, np.inf, -np.inf, 2.0], 2).tolist() == [False, True, False, True]


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_outside_the_vector_is_refused(k):
    with pytest.raises(InputError):
        top_k_iou(np.ones(5), np.ones(5), k)
    with pytest.raises(InputError):
        chance_iou(5, k)


def test_nan_and_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="NaN"):
        top_k_iou(np.array([1, np.nan]), np.ones(2), 1)
    with pytest.raises(InputError, match="lengths"):
        top_k_iou(np.ones(3), np.ones(4), 1)


@pytest.mark.parametrize(
    ("n", "k", "expected", "digits"),
    [(64, 8, 0.0705, 4), (256, 8, 0.0169, 4), (17408, 174, 0.00504, 5), (8, 2, 0.1786, 4)],
)
def test_chance_has_the_worked_values(n, k, expected, digits):
    assert round(chance_iou(n, k), digits) == expected


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 2), (6, 4), (7, 7), (8, 3)])
def test_chance_equals_every_pair_of_sets(n, k):
    sets = [set(c) for c in combinations(range(n), k)]
    mean = np.mean([len(a & b) / len(a | b) for a in sets for b in sets])
    assert math.isclose(chance_iou(n, k), mean, rel_tol=1e-12)


def test_chance_equals_exact_arithmetic_where_that_is_large():
    n, k = 2000, 200
    total = Fraction(0)
    for m in range(1, k + 1):
        total += Fraction(math.comb(k, m) * math.comb(n - k, k - m) * m, 2 * k - m)
    assert math.isclose(chance_iou(n, k), float(total / math.comb(n, k)), rel_tol=1e-9)


def test_random_scores_overlap_by_chance():
    a, b = np.random.default_rng(1).random((2, 4000, 64))
    mean, error = top_k_iou(a, b, 8).mean(), top_k_iou(a, b, 8).std() / 4000**0.5
    assert abs(mean - chance_iou(64, 8)) < 4 * error


def test_weighted_jaccard_and_divergence_by_hand():
    p, q = np.array([3.0, 1, 0]), np.array([1.0, 1, 2])
    assert weighted_jaccard(p, q) == pytest.approx((1 + 1 + 0) / (3 + 1 + 2))
    a, b = p / 4, q / 4
    m = (a + b) / 2
    expected = 0.5 * (a[:2] * np.log2(a[:2] / m[:2])).sum() + 0.5 * (b * np.log2(b / m)).sum()
    assert jensen_shannon_bits(p, q) == pytest.approx(expected)
    assert jensen_shannon_bits([1, 0], [0, 5]) == 1
    assert jensen_shannon_bits(p, 7 * p) == 0


def test_all_zeros_are_undefined_and_negatives_refused():
    assert np.isnan(weighted_jaccard([0, 0], [0, 0])) and np.isnan(jensen_shannon_bits([0, 0], [1, 0]))
    for bad in ([-1.0, 2], [np.nan, 1]):
        with pytest.raises(InputError):
            weighted_jaccard(bad, [1, 1])
        with pytest.raises(InputError):
            jensen_shannon_bits([1, 1], bad)


def test_separation_runs_from_the_ceiling_to_the_floor():
    within, floor = np.array([0.8, 0.8, 0.8, 0.1]), np.array([0.1, 0.1, 0.1, 0.1])
    sep = separation(within, [0.8, 0.1, 0.45, 0.1], floor)
    np.testing.assert_allclose(sep, [0, 1, 0.5, np.nan])


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is not there")
def test_published_routing_of_olmoe_is_reproduced():
    golden = json.loads(GOLDEN.read_text())
    assert chance_iou(golden["n_experts"], golden["top_k"]) == pytest.approx(
        golden["chance_iou_exact"], abs=1e-6
    )
    for layer, expected in golden["expected"].items():
        counts = [np.array(golden["counts"][domain][layer], float) for domain in golden["domains"]]
        shares = [c / c.sum() for c in counts]
        pairs = list(combinations(shares, 2))
        iou = [float(top_k_iou(a, b, golden["top_k"])) for a, b in pairs]
        result = {
            "mean_pairwise_top_k_iou": np.mean(iou),
            "min": min(iou),
            "max": max(iou),
            "mean_weighted_jaccard": np.mean([weighted_jaccard(a, b) for a, b in pairs]),
            "mean_jsd_bits": np.mean([jensen_shannon_bits(a, b) for a, b in pairs]),
        }
        for name, value in result.items():
            assert value == pytest.approx(expected[name], abs=1e-6), (layer, name)


@pytest.mark.parametrize("seed", range(3))
def test_chance_of_every_measure_is_the_mean_over_all_orders(seed):
    p, q = np.random.default_rng(seed).dirichlet(np.ones(6), size=2)
    orders = [q[list(order)] for order in permutations(range(6))]
    least, most = (np.mean([f(p, x).sum() for x in orders]) for f in (np.minimum, np.maximum))
    assert overlap.chance_weighted_jaccard(p, q) == pytest.approx(least / most)
    bits = np.mean([overlap.jensen_shannon_bits(p, x) for x in orders])
    assert overlap.chance_jensen_shannon_bits(p, q) == pytest.approx(bits)


def test_chance_of_weighted_jaccard_is_that_of_every_order():
    rng = np.random.default_rng(0)
    p, q = rng.random((2, 3, 20))
    q[:, :5] = p[:, 3:8]  # ties
    a, b = p[..., :, None], q[..., None, :]
    expected = np.minimum(a, b).sum((-2, -1)) / np.maximum(a, b).sum((-2, -1))
    np.testing.assert_allclose(overlap.chance_weighted_jaccard(p, q), expected)
