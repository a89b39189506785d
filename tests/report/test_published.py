"""Published numbers stand beside what is comparable, and nothing else."""

import pandas as pd
import planted_claims as planted
import pytest
from planted_claims import ORDERS

from implicit_sparsity.report import published


@pytest.mark.parametrize(
    "k, revision, shown", [(0.01, "r", True), (0.1, "r", False), (0.01, "scratch-1", False)]
)
def test_published_overlaps_stand_beside_equal_sets_of_a_pretrained_model(k, revision, shown):
    table = planted.overlap(0.6, 0.1, 0.1, k=k)["activation_overlap"].assign(revision=revision)
    floors = table[table["quantity"] == "signal"].assign(quantity="floor", value=0.005)
    sources = table.assign(source_a="x", source_b="y", value=9.0, domain_b=table["domain_a"])
    whole = pd.concat([table, floors]).assign(source_a="", source_b="")
    (entry,) = published.beside("h1b", {"activation_overlap": pd.concat([whole, sources])}, ORDERS)
    assert entry["comparable"] == shown and entry["why"] and entry["source"]
    assert ("published" in entry) == shown, "what is not comparable stands nowhere"
    if shown:
        ours = entry["ours"][0]
        assert ours["code-code"] == pytest.approx(0.8) and ours["code-math"] == pytest.approx(0.8 - 0.42)
        assert entry["published"]["code-math"] == 0.086


def test_published_experts_stand_beside_8_of_64_alone():
    ours = planted.routing(0.6, 0.1, 0.1, experts=64, active=8, layers=16)
    assert published.beside("h1e", ours, ORDERS)[0]["ours"][0]["layer 7"] == pytest.approx(0.38)
    assert not published.beside("h1e", planted.routing(0.6, 0.1, 0.1), ORDERS)[0]["comparable"]


def test_published_forgetting_stands_beside_the_same_tasks_alone():
    metrics = pd.DataFrame(
        [
            {
                "model": "m",
                "order": "trace",
                "score": "acc",
                "metric": "bwt",
                "method": method,
                "value": value,
            }
            for method, value in (("lora", -0.3), ("full", -0.1), ("osf", 0.0))
        ]
    )
    orders = {"trace": sorted(published.TRACE_TASKS)}
    result = {entry["source"]: entry for entry in published.beside("h2a", {"metrics": metrics}, orders)}
    assert result["TRACE"]["ours"] == [{"model": "m", "BWT SeqFT": -10.0, "BWT SeqLoRA": -30.0}]
    assert [entry["comparable"] for entry in result.values()].count(True) == 1
    others = published.beside("h2a", {"metrics": metrics.assign(order="forward")}, ORDERS)
    assert not any(entry["comparable"] for entry in others)
