"""Scores by rounds, of two domains and two stages by hand."""

import pandas as pd
import pytest

from implicit_sparsity.metrics import stagewise

FAMILIES = {"lora_low": {"family": "lora"}}
LOSSES = {0: (3.0, 4.0), 1: (2.0, 3.5), 2: (2.5, 1.0)}  # stage -> of the first domain, of the second


def cells(method="lora_low", seed=0, less=0.0):
    rows = [
        (stage, "ab"[i], i + 1, "xab"[stage], "loss_content", value - less * (stage > 0))
        for stage, losses in LOSSES.items()
        for i, value in enumerate(losses)
    ]
    rows += [(2, "b", 2, "b", "kl_content", 0.7)]
    columns = ["stage", "domain", "position", "trained_domain", "metric", "value"]
    return pd.DataFrame(rows, columns=columns).assign(
        model="nano", method=method, order="main", seed=seed, higher_is_better=False
    )


def scores(frame):
    return frame.assign(stderr=0.3, n=10, groups=frame["domain"].map({"a": 6, "b": 5}))


def test_curves_are_means_over_domains_seen_with_losses_turned_round():
    result = stagewise.curves(cells(), scores(cells()), FAMILIES, "loss_content")
    assert result["value"].tolist() == [-2.0, -1.75] and result["n"].tolist() == [10, 20]
    assert result["groups"].tolist() == [6, 5]
    assert result["stderr"].tolist() == pytest.approx([0.3, 0.3 / 2**0.5])
    assert set(result["family"]) == {"lora"}


def test_the_best_setting_of_a_sweep_is_compared_with_another_family():
    frame = pd.concat([cells(), cells("lora_high", less=0.5), cells("full", less=0.2)])
    families = FAMILIES | {"lora_high": {"family": "lora"}}
    best = stagewise.best_settings(stagewise.curves(frame, scores(frame), families, "loss_content"))
    assert set(best["method"]) == {"lora_high", "full"}
    ahead = stagewise.ahead(best, "lora", "full")
    assert ahead["value"].tolist() == pytest.approx([0.3, 0.3])


def test_what_a_stage_costs_the_domain_before_it():
    (row,) = stagewise.pairs(cells(), FAMILIES, "lora").to_dict("records")
    assert (row["old"], row["new"], row["forgotten"], row["kl"]) == ("a", "b", 0.5, 0.7)
