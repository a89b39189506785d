"""From evaluation files to the tables of the comparison: every number in its place, controls with theirs."""

import json
from pathlib import Path

import numpy as np
import planted_fronts
import pytest
from compare_methods import compare_methods

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.comparison_columns import COMPARED, POINTS
from implicit_sparsity.storage.tables import read_table

ORDERS = {"main": ["code", "math", "medical"]}
FAMILIES = {
    f"{family}_{p}": {"family": family, "role": role, "of": of, "point": {"learning_rate": p}}
    for family, role, of in (
        ("lora", "method", "lora"),
        ("mask", "method", "mask"),
        ("mask_random", "random", "mask"),
    )
    for p in range(3)
}
LOSSES = {"lora": (0.10, 0.20, 0.40), "mask": (0.02, 0.05, 0.10), "mask_random": (0.10, 0.20, 0.40)}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """(comparisons, fronts) of three families that learn alike and forget as LOSSES say, in three seeds."""
    folder = tmp_path_factory.mktemp("compared")
    return compare(folder, evaluations(folder))


def evaluations(folder):
    rng = np.random.default_rng(0)
    texts = planted_fronts.documents(rng)
    made = {f: planted_fronts.family(rng, texts, (0.2, 0.4, 0.6), lost) for f, lost in LOSSES.items()}
    methods = {name: (made[metadata["family"]], int(name[-1])) for name, metadata in FAMILIES.items()}
    return planted_fronts.write_evals(folder, "nano", methods, (0, 1, 2))


def compare(folder, evals, **options):
    tables = [str(folder / f"{name}.csv") for name in ("comparisons", "fronts")]
    stages = planted_fronts.write_stages(folder / "stages.csv", ["nano"], FAMILIES, (0, 1, 2))
    compare_methods(*tables, evals, stages, FAMILIES, planted_fronts.OPTIONS | options, ORDERS)
    return [read_table(path) for path in tables]


def test_what_was_planted_is_found(compared):
    table = compared[0].set_index(["family", "against"])
    assert list(table.index) == [
        ("lora", "lora"), ("mask", "lora"), ("mask_random", "lora"), ("mask_random", "mask")
    ]  # fmt: skip
    assert table["learned_gain"].nunique() == 1 and table["learned_gain"].iloc[0] == pytest.approx(
        0.4, abs=0.1
    )
    mask, control = table.loc[("mask", "lora")], table.loc[("mask_random", "lora")]
    assert mask["difference_low"] < -0.15 < mask["difference_high"] and mask["p_holm"] < 0.001
    assert control["difference_low"] < 0 < control["difference_high"]
    own = table.loc[("mask_random", "mask")]
    assert own["difference"] == pytest.approx(control["forgetting"] - mask["forgetting"])
    assert own["difference"] > 0.1 and own["p_holm"] < 0.001
    assert table["note"].tolist() == ["the reference", "", "", ""]


def test_every_column_is_told_and_has_its_n(compared):
    comparisons, fronts = compared
    assert list(comparisons.columns) == ["model", "order", "score", *COMPARED]
    assert list(fronts.columns) == ["model", "order", "score", "family", "role", "of", *POINTS, "unit"]
    assert set(comparisons["n"]) == {48} and set(comparisons["seeds"]) == {3}
    assert set(comparisons["groups"]) == {24} and set(fronts["groups"]) == {24}
    assert comparisons["trusted"].all() and fronts["trusted"].all()
    assert set(comparisons["noise_runs"]) == {9} and set(comparisons["points"]) == {3}
    assert set(comparisons["unit"]) == {"nat"} and set(fronts["n"]) == {72}
    assert fronts["point"].map(json.loads).tolist() == [{"learning_rate": p} for p in range(3)] * 3


def test_parameters_tokens_and_the_covariate_stand_beside(compared):
    comparisons, fronts = compared
    assert comparisons["trainable"].tolist() == [3000, 6000, 9000, 9000]
    assert comparisons["trainable_ratio"].tolist() == [1, 2, 3, 3] and set(comparisons["tokens_ratio"]) == {1}
    assert fronts["trainable"].tolist() == [1000 * (i + 1) for i in range(9)]
    np.testing.assert_allclose(fronts["kl_newest"], 0.1 * fronts["learned_gain"], rtol=1e-6)
    np.testing.assert_allclose(comparisons["kl_newest"], 0.1 * comparisons["learned_gain"], rtol=1e-6)


def test_how_far_each_has_moved_stands_beside(compared):
    """The i-th variant's norm is i + 1 times the stage: 3, 6, 9 of lora at the last one, 6 at its middle."""
    comparisons, fronts = compared
    assert fronts[fronts["family"] == "lora"]["update_norm"].tolist() == [3, 6, 9]
    norms = comparisons.set_index(["family", "against"])["update_norm"]
    assert norms["lora", "lora"] == pytest.approx(6, abs=1.5) and norms["mask", "lora"] > 12


def test_at_a_gain_that_nobody_reached_all_is_empty(tmp_path):
    comparisons, fronts = compare(tmp_path, evaluations(tmp_path), at=3.0)
    empty = ["forgetting", "difference", "p", "p_holm", "tost_p", "kl_newest"]
    assert comparisons[empty].isna().all().all() and fronts["forgetting"].notna().all()
    assert comparisons["note"].str.contains("front reaches from .* to .*, not 3").all()


def test_equal_files_give_equal_tables(compared, tmp_path):
    again = compare(tmp_path, evaluations(tmp_path))
    assert all(a.equals(b) for a, b in zip(compared, again))


def test_other_documents_and_no_documents_are_one_line(tmp_path):
    evals = evaluations(tmp_path)
    path = Path(evals[-1])
    record = json.loads(path.read_text())
    record["study"]["documents"][0]["id"] = "other"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"other documents of medical"):
        compare(tmp_path, evals)
    del record["study"]["documents"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="not an evaluation of documents"):
        compare(tmp_path, evals)
    path.write_text("{")
    with pytest.raises(InputError, match="JSON"):
        compare(tmp_path, evals)


def test_base_alone_gives_empty_tables_with_headers(tmp_path):
    evals = [path for path in evaluations(tmp_path) if "/base." in path]
    tables = [str(tmp_path / f"{name}.csv") for name in ("comparisons", "fronts")]
    stages = planted_fronts.write_stages(tmp_path / "stages.csv", ["nano"], FAMILIES, (0,))
    compare_methods(*tables, evals, stages, FAMILIES, planted_fronts.OPTIONS, ORDERS)
    assert Path(tables[0]).read_text().startswith("model,order,score,family")
