"""The rule of decision, and the coverage of means and differences."""

import math

import numpy as np
import pytest

from implicit_sparsity.metrics import verdict
from implicit_sparsity.metrics.verdict import Evidence, Finding


def piece(effect, low, high, side="above", noise=0.0, neutral=0.0, **more):
    return Evidence("m", effect, low, high, 0.5, side, noise, neutral, **more)


@pytest.mark.parametrize(
    "evidence, word",
    [
        (piece(0.8, 0.6, 1.0), "SUPPORTED"),
        (piece(0.8, 0.5, 1.0), "INCONCLUSIVE"),  # the end is on the threshold
        (piece(0.3, 0.1, 0.5), "NOT SUPPORTED"),
        (piece(0.8, 0.6, 1.0, noise=0.9), "INCONCLUSIVE"),
        (piece(0.8, 0.6, 1.0, noise=0.2, neutral=0.5), "SUPPORTED"),
        (piece(0.8, 0.6, 1.0, noise=math.nan), "INCONCLUSIVE"),
        (piece(0.3, 0.1, 0.4, noise=math.nan), "NOT SUPPORTED"),  # noise does not save a claim
        (piece(0.8, math.nan, math.nan), "INCONCLUSIVE"),
        (piece(0.8, 0.6, 1.0, groups=10), "SUPPORTED"),
        (piece(0.8, 0.6, 1.0, groups=9), "INCONCLUSIVE"),  # too few groups to trust the interval
        (piece(0.3, 0.1, 0.4, groups=9), "INCONCLUSIVE"),
        (piece(0.2, 0.1, 0.4, "below"), "SUPPORTED"),
        (piece(0.8, 0.6, 1.0, "below"), "NOT SUPPORTED"),
        (piece(0.4, 0.3, 0.6, "below"), "INCONCLUSIVE"),
    ],
)
def test_the_rule(evidence, word):
    assert evidence.verdict == word
    assert evidence.row()["verdict"] == word and None not in (evidence.row()["why"], evidence.row()["n"])


def test_too_few_groups_are_the_reason():
    assert "fewer than 10 groups" in piece(0.8, 0.6, 1.0, groups=9).judged()[1]


def test_units_need_all_their_pieces_and_claims_need_all_units_to_agree():
    yes, no, open_ = piece(0.8, 0.6, 1.0), piece(0.3, 0.1, 0.4), piece(0.5, 0.3, 0.7)
    assert verdict.of_unit([yes, yes]) == "SUPPORTED"
    assert verdict.of_unit([yes, open_]) == "INCONCLUSIVE"
    assert verdict.of_unit([yes, open_, no]) == "NOT SUPPORTED"
    other = piece(0.3, 0.1, 0.4, order="backward")
    assert verdict.conclude(Finding([yes, other]))[0] == "INCONCLUSIVE"
    assert verdict.conclude(Finding([no, other]))[0] == "NOT SUPPORTED"
    assert verdict.conclude(Finding([yes], missing=["3 seeds"])) == ("NOT RUN", "3 seeds")
    assert verdict.conclude(Finding())[0] == "NOT RUN"


def test_the_detectable_effect_is_found_in_80_percent_of_studies():
    """Studies whose true effect is that far from the threshold: the interval is beyond it in 80 %."""
    rng = np.random.default_rng(0)
    reach = 0.2
    away = piece(0.0, -reach, reach).detectable
    effects = 0.5 + away + reach / verdict.Z * rng.normal(size=20000)
    assert np.mean(effects - reach > 0.5) == pytest.approx(0.8, abs=0.01)


def test_coverage_of_means_and_differences():
    """Independent numbers and differences: 95 %; over seeds: 95 % or more."""
    rng = np.random.default_rng(1)
    hits = {"apart": 0, "together": 0, "difference": 0, "seeds": 0}
    rounds = 2000
    for _ in range(rounds):
        x = rng.normal(size=4)
        _, low, high = verdict.apart(x, x - verdict.Z, x + verdict.Z)
        hits["apart"] += low < 0 < high
        shared = rng.normal() + 0.1 * rng.normal(size=4)  # nearly the same error in all
        reach = verdict.Z * math.sqrt(1.01)
        _, low, high = verdict.together(shared, shared - reach, shared + reach)
        hits["together"] += low < 0 < high
        ends = [(v, v - verdict.Z, v + verdict.Z) for v in rng.normal(size=2)]
        _, low, high = verdict.difference(*ends)
        hits["difference"] += low < 0 < high
        documents, seeds = rng.normal(), rng.normal(size=3)
        values = documents + seeds
        _, low, high, _ = verdict.over_seeds(values, values - verdict.Z, values + verdict.Z)
        hits["seeds"] += low < 0 < high
    share = {name: count / rounds for name, count in hits.items()}
    assert share["apart"] == pytest.approx(0.95, abs=0.015)
    assert share["difference"] == pytest.approx(0.95, abs=0.015)
    assert share["together"] == pytest.approx(0.95, abs=0.015)
    assert 0.935 < share["seeds"] <= 1


def test_one_seed_has_no_noise_floor():
    assert math.isnan(verdict.over_seeds([1.0], [0.5], [1.5])[3])
    assert verdict.over_seeds([1.0], [0.5], [1.5])[:3] == (1.0, 0.5, 1.5)
