"""Methods compared on planted fronts: how often intervals hold the truth, and what is too little to say."""

import numpy as np
import planted_fronts
import pytest

from implicit_sparsity.metrics.method_comparison import Comparison, Entrant, comparison_rows, front_rows


def entrants(rng, seeds, sizes, names=None, **spread):
    """lora, and a mask that forgets 0.06 less at the same learning; names: of documents in groups."""
    documents = (
        planted_fronts.clustered_documents(rng, names) if names else planted_fronts.documents(rng, sizes)
    )
    gains = (0.2, 0.4, 0.6)
    return {
        name: Entrant(
            {"family": name, "role": "method", "of": name},
            [f"{name}_{p}" for p in range(3)],
            planted_fronts.family(
                rng, planted_fronts.own(rng, documents, names), gains, losses, seeds, **spread
            ),
            *np.ones((3, 3)),
            [{}] * 3,
            np.ones(3),
        )
        for name, losses in (("lora", (0.10, 0.20, 0.40)), ("mask", (0.06, 0.14, 0.30)))
    }


OPTIONS = {"reference": "lora", "at": 0.5, "draws": 200}


def compared(entrants, groups=None, **options):
    """A comparison; each document is its own group where no groups are given."""
    base = entrants["lora"].scores.base
    return Comparison(entrants, OPTIONS | options, 0.05, groups or [np.arange(len(x)) for x in base])


TRUTH = {"lora": 0.30, "mask": 0.22}


@pytest.mark.parametrize(
    "seeds, sizes, spread",
    [
        (3, (24, 24, 24), {}),
        (3, (24, 24, 24), {"seed": 0.05, "document": 0.05}),
        (5, (48, 24, 12), {}),
        (1, (24, 24, 24), {"seed": 0.0}),
    ],
    ids=["both", "seeds rule", "unequal domains", "one seed"],
)
def test_intervals_hold_the_planted_truth(seeds, sizes, spread):
    rng, hits, times = np.random.default_rng([seeds, *sizes]), np.zeros(3), 400
    for _ in range(times):
        c = compared(entrants(rng, seeds, sizes, **spread))
        row = {r["family"]: r for r in comparison_rows(c)}
        for i, (cells, name, truth) in enumerate(
            [
                (row["lora"], "forgetting", TRUTH["lora"]),
                (row["mask"], "forgetting", TRUTH["mask"]),
                (row["mask"], "difference", TRUTH["mask"] - TRUTH["lora"]),
            ]
        ):
            hits[i] += cells[f"{name}_low"] <= truth <= cells[f"{name}_high"]
    assert (hits / times >= 0.92).all() and (hits / times <= 0.98).all(), hits / times


def test_a_difference_is_found_and_none_is_not():
    """With the same front in both, p < 0.05 in about one of twenty; the planted difference is found."""
    rng, false, true = np.random.default_rng(7), 0, 0
    for _ in range(300):
        pair = entrants(rng, 3, (24, 24, 24), seed=0.0)
        row = comparison_rows(compared(pair))[1]
        true += row["p"] < 0.05 and row["difference"] < 0
        documents = planted_fronts.documents(rng)
        for entrant in pair.values():
            entrant.scores = planted_fronts.family(rng, documents, (0.2, 0.4, 0.6), (0.1, 0.2, 0.3), seed=0.0)
        false += comparison_rows(compared(pair))[1]["p"] < 0.05
    assert true > 290 and false < 27


@pytest.mark.parametrize("rule", ["reference", "common"])
def test_the_gain_may_be_the_references_or_the_most_of_all(rule):
    rng = np.random.default_rng(8)
    c = compared(entrants(rng, 3, (24, 24, 24)), at=rule)
    gains = {name: points[0] for name, points in c.points.items()}
    expected = np.median(gains["lora"]) if rule == "reference" else min(g.max() for g in gains.values())
    rows = comparison_rows(c)
    assert {row["learned_gain"] for row in rows} == {expected}
    assert all(np.isfinite(row["forgetting_low"]) for row in rows)


def test_one_point_and_one_seed_say_so_and_invent_nothing():
    rng = np.random.default_rng(9)
    documents = planted_fronts.documents(rng)
    pair = {
        name: Entrant(
            {"family": name, "role": "method", "of": name},
            [name],
            planted_fronts.family(rng, documents, (gain,), (0.1,), seeds=1),
            *np.ones((3, 1)),
            [{}],
            np.ones(1),
        )
        for name, gain in (("lora", 0.4), ("mask", 0.2))
    }
    lora, mask = comparison_rows(compared(pair, at="reference"))
    assert np.isfinite(lora["forgetting"]) and np.isfinite(lora["tost_p"]) and np.isnan(lora["p"])
    for name in ("forgetting", "difference", "p", "p_holm", "tost_p", "detectable", "noise_sd"):
        assert np.isnan(mask[name]), name
    assert mask["note"].startswith("one point, no front: learned 0.1")
    assert "one seed" in lora["note"] and lora["seeds"] == 1 and mask["noise_runs"] == 0
    point = front_rows(compared(pair, at="reference"))[0]
    assert point["learned_low"] < point["learned_gain"] < point["learned_high"]
    assert np.isnan(point["forgetting_sd"]) and np.isfinite(point["tost_p"])


def test_a_run_that_lacks_a_stage_is_left_out_and_told():
    rng = np.random.default_rng(10)
    pair = entrants(rng, 2, (24, 24, 24))
    runs = pair["mask"].scores.runs
    whole = pair["mask"].scores.each()[1].copy()
    for x in runs:
        x[1, 0, 1] = np.nan
    c = compared(pair, at=0.3)
    lora, mask = comparison_rows(c)
    assert "1 of 6 runs are not whole" in mask["note"] and "whole" not in lora["note"]
    assert c.points["mask"][1] == pytest.approx([whole[0].mean(), whole[1, 1], whole[2].mean()])
    assert np.isfinite(mask["difference"]) and np.isnan(mask["difference_low"]), (
        "a seed is not there to leave out"
    )
    for x in runs:
        x[:] = np.nan
    mask = comparison_rows(compared(pair, at=0.3))[1]
    assert mask["points"] == 0 and "no whole run" in mask["note"] and np.isnan(mask["forgetting"])


def test_no_reference_is_no_comparison():
    pair = entrants(np.random.default_rng(11), 3, (24, 24, 24))
    rows = comparison_rows(compared(pair, at="reference", reference="gone"))
    assert all(np.isnan(row["forgetting"]) and "gone has no whole run" in row["note"] for row in rows)


@pytest.mark.parametrize("sizes", [(2, 3) * 5, (1, 2, 3, 6) * 6], ids=["10 groups", "24 groups"])
def test_intervals_hold_where_documents_of_a_group_are_nearly_one(sizes):
    """Intraclass correlation 0.9, unequal groups; with each document by itself they would not hold."""
    rng, hits, alone, times = np.random.default_rng(len(sizes)), np.zeros(3), np.zeros(3), 250
    names = [np.repeat(np.arange(len(sizes)), sizes)] * 3
    for _ in range(times):
        pair = entrants(rng, 1, None, names, seed=0.0)
        for groups, count in ((names, hits), (None, alone)):
            c = compared(pair, groups)
            lora, mask = comparison_rows(c)
            count += [
                lora["forgetting_low"] <= TRUTH["lora"] <= lora["forgetting_high"],
                mask["difference_low"] <= TRUTH["mask"] - TRUTH["lora"] <= mask["difference_high"],
                (point := front_rows(c)[0])["learned_low"] <= 0.2 <= point["learned_high"],
            ]
    assert (hits / times >= 0.91).all() and (hits / times <= 0.985).all(), hits / times
    assert (alone / times < 0.85).all(), alone / times
    assert (mask["n"], point["n"]) == (2 * len(names[0]), 3 * len(names[0]))


def test_few_groups_are_not_trusted_and_told():
    pair = entrants(np.random.default_rng(12), 3, (24, 24, 24))
    names = [np.arange(24) % 12, np.arange(24) % 9, np.arange(24) % 3]
    c = compared(pair, names)
    for row in comparison_rows(c):
        assert (row["groups"], row["trusted"]) == (9, False) and "9 groups of documents" in row["note"]
    assert {(row["groups"], row["trusted"]) for row in front_rows(c)} == {(3, False)}
    alone = comparison_rows(compared(pair, [np.zeros(24)] * 3))[0]
    assert np.isnan([alone["forgetting_low"], alone["tost_p"]]).all() and np.isfinite(alone["forgetting"])
