"""Continual-learning metrics: worked matrices, published matrices, signs and cells that were not measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.continual import COVARIATES, METRIC_DOCS, better, divergences, metrics

GOLDEN = Path(__file__).resolve().parents[3] / "shared/golden/olora_order1.json"
NAN = float("nan")
R = [[0.8, 0.2, 0.1], [0.9, 0.7, 0.3], [0.6, 0.5, 0.9]]
BASE = [0.1, 0.1, 0.2]
WORKED = {
    "final_mean": 2.0 / 3,
    "avg_incremental": (0.8 + 0.8 + 2.0 / 3) / 3,
    "learned": 2.4 / 3,
    "bwt": (-0.2 - 0.2) / 2,
    "fwt": ((0.2 - 0.1) + (0.3 - 0.2)) / 2,
    "forgetting": ((0.9 - 0.6) + (0.7 - 0.5)) / 2,
    "forgetting_any_stage": ((0.9 - 0.6) + (0.7 - 0.5)) / 2,
    "forgetting_relative": (0.2 / 0.8 + 0.2 / 0.7) / 2,
    "learned_gain": (0.7 + 0.6 + 0.7) / 3,
    "final_gain": (0.5 + 0.4 + 0.7) / 3,
    "intransigence": (0.05 + 0.15 - 0.05) / 3,
    "general_delta": -0.15,
}
MORE = {"joint": [0.85, 0.85, 0.85], "general": [[0.5, 0.6], [0.4, 0.4]]}


def test_every_metric_of_a_worked_matrix():
    result = metrics(R, BASE, **MORE)
    assert result == pytest.approx(WORKED)
    assert set(result) == set(METRIC_DOCS)


def test_losses_turn_the_sign_of_changes_and_keep_levels():
    def flip(x):
        return (-np.array(x)).tolist()

    losses = metrics(flip(R), flip(BASE), higher_is_better=False, **{k: flip(v) for k, v in MORE.items()})
    for name, value in WORKED.items():
        sign = -1 if METRIC_DOCS[name].better == "score" else 1
        assert losses[name] == pytest.approx(sign * value), name


def test_a_loss_that_rises_again_is_forgotten():
    result = metrics([[1.0, 2.0], [1.5, 1.0]], [2.0, 2.0], higher_is_better=False)
    assert result["forgetting"] == 0.5 and result["bwt"] == -0.5
    assert result["learned_gain"] == 1.0 and result["final_mean"] == 1.25
    assert not better("final_mean", False) and better("final_mean", True)
    assert better("bwt", False) and not better("forgetting", True)


def test_two_definitions_of_forgetting_part_where_an_early_stage_helped():
    r = [[0.8, 0.9, 0], [0.8, 0.5, 0], [0.8, 0.4, 1]]
    result = metrics(r)
    assert result["forgetting"] == pytest.approx(0.05)
    assert result["forgetting_any_stage"] == pytest.approx(0.25)


def test_backward_transfer_gives_negative_forgetting():
    assert metrics([[0.5, 0], [0.7, 0.5]])["forgetting"] == pytest.approx(-0.2)


def test_the_last_domain_is_not_forgotten():
    changed = [row[:2] + [0.0] for row in R[:2]] + [R[2]]
    for name in ("bwt", "forgetting"):
        assert metrics(changed)[name] == metrics(R)[name]


NEEDS = {  # cell (stage, domain) -> metrics that do without it
    (0, 0): {"final_mean", "fwt", "final_gain", "general_delta"},
    (0, 2): set(METRIC_DOCS)
    - set(),  # a domain long before its stage: only forgetting_any_stage looks, and not at the last
    (1, 0): set(METRIC_DOCS) - {"avg_incremental", "forgetting", "forgetting_any_stage"},
    (1, 2): set(METRIC_DOCS) - {"fwt"},
    (2, 1): {"learned", "fwt", "learned_gain", "intransigence", "general_delta"},
}


@pytest.mark.parametrize("cell", NEEDS, ids=str)
def test_a_cell_that_was_not_measured_takes_exactly_what_needs_it(cell):
    r = np.array(R)
    r[cell] = NAN
    result = metrics(r, BASE, **MORE)
    assert {name for name, value in result.items() if not np.isnan(value)} == NEEDS[cell]
    for name in NEEDS[cell]:
        assert result[name] == pytest.approx(WORKED[name])


def test_without_base_joint_and_general_theirs_are_nan():
    result = metrics(R)
    missing = {"fwt", "learned_gain", "final_gain", "intransigence", "general_delta"}
    assert {name for name, value in result.items() if np.isnan(value)} == missing


def test_one_domain_has_nothing_to_forget():
    result = metrics([[0.9]], [0.2])
    assert result["final_mean"] == result["learned"] == result["avg_incremental"] == 0.9
    assert all(np.isnan(result[name]) for name in ("bwt", "fwt", "forgetting", "forgetting_relative"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]],), "stages x domains"),
        (([],), "stages x domains"),
        ((R, [1, 2]), "base"),
        ((R, None, True, [1]), "joint"),
        (([[np.inf]],), "infinite"),
        (([["x"]],), "numbers"),
        ((R, None, True, None, [1, 2]), "general"),
    ],
)
def test_wrong_shapes_are_one_line(arguments, message):
    with pytest.raises(InputError, match=message):
        metrics(*arguments)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is not there")
def test_published_matrices_of_o_lora_are_reproduced():
    for name, run in json.loads(GOLDEN.read_text())["runs"].items():
        result = metrics(run["R"])
        for published, expected in run["expected"].items():
            metric = {"acc": "final_mean"}.get(published, published)
            if expected is None:
                assert np.isnan(result[metric]), (name, metric)
            else:
                assert result[metric] == pytest.approx(expected, abs=1e-3), (name, metric)


def test_cards_say_all():
    for name, doc in (METRIC_DOCS | COVARIATES).items():
        assert all(doc), name


def test_divergences_read_the_diagonal_and_the_last_row():
    result = divergences([[0.1, 0.0, 0.0], [0.2, 0.3, 0.1], [0.4, 0.5, 0.8]])
    assert result == pytest.approx(
        {"kl_newest": 0.4, "kl_newest_1": 0.1, "kl_newest_2": 0.3, "kl_newest_3": 0.8, "kl_final": 1.7 / 3}
    )
    short = divergences([[0.1, 0.0], [NAN, NAN]])
    assert short["kl_newest_1"] == 0.1 and np.isnan(short["kl_newest"]) and np.isnan(short["kl_final"])
