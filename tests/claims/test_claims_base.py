"""What all claims share: rows of last stages, families and seeds by hand, and what is missing said."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from implicit_sparsity.claims import base
from implicit_sparsity.metrics.verdict import Finding
from implicit_sparsity.options import option

STUDY = base.Study({}, {})


@dataclass
class Planted(base.Claim):
    """Evidence is each row's effect."""

    TABLES: ClassVar[tuple] = ("a", "b")
    SIDE = "below"

    threshold: float = option(..., low=0)

    def look(self, finding, tables, study):
        for row in tables["a"].itertuples():
            finding.evidence.append(self.piece(row.model, (row.value, 0, 1), 0.5, 3, order="o"))


TABLES = {
    "a": pd.DataFrame({"model": ["one", "two"], "value": [0.25, 0.75]}),
    "b": pd.DataFrame({"value": [1]}),
}


def test_a_claim_looks_at_the_models_that_were_chosen():
    every = Planted(threshold=1).judge(TABLES, STUDY)
    assert [(piece.model, piece.effect) for piece in every.evidence] == [("one", 0.25), ("two", 0.75)]
    piece = every.evidence[0]
    assert (piece.low, piece.high, piece.threshold, piece.side) == (0.0, 1.0, 1.0, "below")
    assert (piece.noise, piece.n, piece.order) == (0.5, 3, "o") and every.missing == []
    chosen = Planted(threshold=1, models=("two",)).judge(TABLES, STUDY)
    assert [piece.model for piece in chosen.evidence] == ["two"]
    none = Planted(threshold=1, models=("three", "four")).judge(TABLES, STUDY)
    assert none.missing == ["rows of what it speaks of in three, four"] and not none.evidence


def test_tables_that_are_not_there_or_empty_are_named_and_nothing_is_looked_at():
    frames = {"b": TABLES["b"][:0]}
    finding = Planted(threshold=1).judge(frames, STUDY)
    assert finding.missing == ["the table a", "rows of the table b"] and finding.evidence == []


def test_what_was_passed_over_is_the_reason_where_nothing_else_is():
    @dataclass
    class Skipping(Planted):
        def look(self, finding, tables, study):
            finding.skip("one is dense")
            finding.skip("two is dense")

    assert Skipping(threshold=1).judge(TABLES, STUDY).missing == ["one is dense; two is dense"]


def test_a_claim_about_methods_counts_seeds_and_different_orders():
    claim, finding = base.OfMethods(seeds=3, orders=2), Finding()
    claim.ask(finding, 3, ["forward", "backward"], "lora")
    assert finding.missing == []
    claim.ask(finding, 2, ["forward", "forward"], "lora")
    assert finding.missing == ["3 seeds of lora, there is 2", "2 orders of lora, there is 1"]


def stages(*checkpoints, model="m"):
    frame = pd.DataFrame({"model": model, "checkpoint": checkpoints, "value": range(len(checkpoints))})
    return frame.set_index(frame.index + 10)


def test_each_run_has_its_own_last_stage():
    one = stages("base", "a.x.seed0.stage1", "a.x.seed0.stage10", "a.x.seed0.stage9", "a.x.seed1.stage2")
    two = stages("a.x.seed0.stage2", "a.y.seed0.stage1", model="other")
    last = base.last_stages(pd.concat([one, two], ignore_index=True).assign(order="of the table"))
    assert list(last["checkpoint"]) == [
        "a.x.seed0.stage10", "a.x.seed1.stage2", "a.x.seed0.stage2", "a.y.seed0.stage1",
    ]  # fmt: skip
    assert list(last["order"]) == ["x", "x", "x", "y"] and list(last["seed"]) == [0, 1, 0, 0]


def test_all_rows_of_a_last_stage_stay_and_of_base_alone_none():
    twice = stages("a.x.seed0.stage1", "a.x.seed0.stage1", "a.x.seed0.stage0")
    assert list(base.last_stages(twice)["value"]) == [0, 1]
    none = base.last_stages(stages("base", "base"))
    assert none.empty and {"method", "order", "seed", "stage"} <= set(none.columns)


def test_a_family_is_a_method_with_its_sweep_and_not_its_controls():
    families = {
        "lora": {"family": "lora"},
        "lora_slow": {"family": "lora"},
        "lora_random": {"family": "lora_random"},
    }
    frame = pd.DataFrame({"method": ["lora_random", "lora", "lora_slow", "other"]})
    assert list(base.of_family(frame, families, "lora")["method"]) == ["lora", "lora_slow"]
    assert list(base.of_family(frame, {}, "other")["method"]) == ["other"], "one that has no entry"


def test_settings_of_a_seed_are_averaged_and_seeds_stay_apart():
    frame = pd.DataFrame({"seed": [1, 0, 0], "v": [5.0, 1, 3], "l": [4.0, 0, 1], "h": [6.0, 2, 7]})
    value, low, high = base.by_seed(frame, "v", "l", "h")
    assert (value.tolist(), low.tolist(), high.tolist()) == ([2, 5], [0.5, 4], [4.5, 6])


def test_documents_are_counted_once_a_domain():
    rows = [("a", "a", 5), ("a", "a", 4), ("b", "b", 7), ("a", "b", 99)]
    frame = pd.DataFrame(rows, columns=["domain_a", "domain_b", "n"])
    assert base.own_documents(frame) == 12 and base.own_documents(frame[3:]) == 0


def overlaps(*rows):
    columns = ["quantity", "layer", "domain_a", "domain_b", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).assign(groups=range(20, 20 + len(rows)))


OVERLAPS = overlaps(
    ("sep", 0, "a", "b", 0.2, 0.1, 0.4, 6),
    ("sep", 1, "a", "b", 0.4, 0.3, 0.5, 6),
    ("sep", 0, "a", "c", 0.9, 0.8, 1.0, 6),
    ("sep", 1, "a", "c", np.nan, np.nan, np.nan, 6),
    ("sep_permuted", 0, "a", "b", 0.0, -0.1, 0.1, 6),
    ("sep_permuted", 1, "a", "b", 0.0, -0.1, 0.2, 6),
    ("signal", 0, "a", "b", 5.0, 5.0, 5.0, 6),
    ("sep", 0, "a", "a", 5.0, 5.0, 5.0, 8),
    ("sep", 0, "b", "b", 5.0, 5.0, 5.0, 4),
)


def separation(frame):
    finding = Finding()
    base.separations(Planted(threshold=0.5), finding, frame, "m", what="w")
    return finding


def test_a_separation_is_a_mean_over_layers_and_pairs_that_have_one():
    (piece,) = separation(OVERLAPS).evidence
    assert (piece.effect, piece.low, piece.high) == pytest.approx((0.5, 0.4, 1.9 / 3))
    assert (piece.noise, piece.n, piece.what) == (pytest.approx(0.15), 12, "w")
    assert piece.groups == 20, "of the domain that has fewest"
    assert piece.detail == "2 layers, 2 pairs, 1 without a SEP left out; pairs 0.30 to 0.90"


def test_a_separation_without_a_null_has_no_noise_floor_and_without_a_value_is_skipped():
    (piece,) = separation(OVERLAPS[OVERLAPS["quantity"] == "sep"]).evidence
    assert np.isnan(piece.noise)
    finding = separation(OVERLAPS[OVERLAPS["value"].isna()])
    assert finding.skipped == ["m: SEP is not defined in any layer"] and not finding.evidence


def test_a_model_trained_here_is_called_so():
    origin = "; trained from scratch here, says nothing of a pretrained model"
    assert base.origin(pd.DataFrame({"revision": ["scratch-1"]})) == origin
    assert base.origin(pd.DataFrame({"revision": ["r"]})) == base.origin(pd.DataFrame({"x": [1]})) == ""
    (piece,) = separation(OVERLAPS.assign(revision="scratch-1")).evidence
    assert piece.detail.endswith(origin)
