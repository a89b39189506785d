"""The page of the metrics, made of what the code says of them."""

import re
from pathlib import Path

from implicit_sparsity.metrics import metric_docs
from implicit_sparsity.metrics.comparison_columns import COMPARED, POINTS
from implicit_sparsity.metrics.continual import COVARIATES, METRIC_DOCS


def test_the_docs_are_in_step():
    page = Path(__file__).resolve().parents[2] / "docs/metrics.md"
    command = "PYTHONPATH=scripts python -m implicit_sparsity.metrics.metric_docs > docs/metrics.md"
    assert page.read_text() == metric_docs.render(), f"docs/metrics.md is out of date: {command}"


def test_a_table_keeps_bars_of_its_cells():
    rows = metric_docs.table(["a", "b"], [["KL(p || q)", "1"], ["", "x"]]).splitlines()
    assert rows == ["| a | b |", "| --- | --- |", "| KL(p \\|\\| q) | 1 |", "|  | x |"]
    assert metric_docs.table(["a"], []) == "| a |\n| --- |"


def test_every_metric_and_column_has_one_row_in_its_own_table():
    first = re.findall(r"^\| `?(.*?)`? \|", metric_docs.render(), re.M)
    tables = [["metric", *METRIC_DOCS], ["metric", *COVARIATES], ["column", *COMPARED], ["column", *POINTS]]
    assert [cell for cell in first if cell != "---"] == [cell for table in tables for cell in table]


def test_the_direction_of_a_metric_is_in_words():
    assert {card.better for card in (METRIC_DOCS | COVARIATES).values()} <= set(metric_docs.WAYS)
    name = next(name for name, card in METRIC_DOCS.items() if card.better == "lower")
    (row,) = metric_docs.docs({name: METRIC_DOCS[name]}).splitlines()[2:]
    assert row.startswith(f"| `{name}` | `") and "` | lower | " in row
