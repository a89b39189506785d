"""Rows of domains and rows of sources are told apart, and what sources give is summed up."""

import numpy as np
import pandas as pd
import pytest

from implicit_sparsity.metrics import pairs

COLUMNS = [
    "domain_a",
    "domain_b",
    "source_a",
    "source_b",
    "quantity",
    "value",
    "low",
    "high",
    "tokens",
    "groups",
]
ROWS = [
    ("code", "code", "", "", "ceiling", 0.9, 0.8, 1.0, 100, 20),
    ("code", "math", "", "", "sep", 0.5, 0.4, 0.6, 100, 20),
    ("code", "code", "x", "y", "sep", 0.1, 0.0, 0.3, 50, 12),
    ("math", "math", "z", "w", "sep", 0.3, 0.1, 0.4, 40, 8),
    ("code", "math", "x", "z", "sep", 0.6, 0.5, 0.7, 40, 8),
    ("code", "math", "x", "w", "sep", 0.4, 0.3, 0.7, 40, 9),
    ("code", "code", "x", "y", "floor", 7.0, 7.0, 7.0, 40, 9),
]
TABLE = pd.DataFrame(ROWS, columns=COLUMNS).assign(model="m")


def test_rows_of_domains_and_of_sources_are_all_rows():
    assert list(pairs.of_domains(TABLE).index) == [0, 1]
    assert list(pairs.of_sources(TABLE, one_domain=True).index) == [2, 3, 6]
    assert list(pairs.of_sources(TABLE, one_domain=False).index) == [4, 5]
    plain = TABLE.drop(columns=["source_a", "source_b"])
    assert pairs.of_domains(plain) is plain and pairs.of_sources(plain, True).empty
    assert pairs.in_words(plain, "sep") == "" and pairs.lines(plain, "sep") is plain


def test_lines_of_sources_have_the_fewest_tokens_of_any_pair():
    result = pairs.lines(TABLE, "sep")
    assert list(result["quantity"]) == [
        "ceiling",
        "sep",
        "sources",
        "sources",
        "sources_apart",
        "sources_apart",
    ]
    assert list(result["tokens"]) == [100, 100, 40, 40, 40, 40]


def test_words_have_the_mean_of_each_domain_and_of_all():
    text = "; between sources of one domain 0.20 (0.05 to 0.35): code 0.10, math 0.30; of two 0.50 (8 groups)"
    assert pairs.in_words(TABLE, "sep") == text
    assert pairs.in_words(TABLE, "signal") == ""
    few = TABLE.assign(low=TABLE["low"].where(TABLE["groups"] > 8))
    assert pairs.in_words(few, "sep") == text.replace(" (0.05 to 0.35)", ""), "no interval of some alone"
    lost = TABLE.assign(value=TABLE["value"].where(TABLE["domain_b"] != "math", np.nan))
    assert "one domain 0.10 (0.00 to 0.30): code 0.10 (12 groups)" in pairs.in_words(lost, "sep")


@pytest.mark.parametrize("one_domain", [True, False])
def test_a_table_of_no_rows_has_no_sources(one_domain):
    assert pairs.of_sources(TABLE[:0], one_domain).empty and pairs.in_words(TABLE[:0], "sep") == ""
