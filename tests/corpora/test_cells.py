"""Cells of tables as texts: what is missing is no word, and numbers are as people write them."""

import datetime
import math
from decimal import Decimal

import pytest

from implicit_sparsity.corpora.bad import BadRecord
from implicit_sparsity.corpora.cells import joined, name_of, plain, text_of

UTC = datetime.UTC


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (None, None),
        (math.nan, None),
        (Decimal("NaN"), None),
        ([1, math.nan, {"a": math.nan, "b": (1, None)}], [1, None, {"a": None, "b": [1, None]}]),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC), "2024-02-29T01:02:03+00:00"),
        (datetime.time(1, 2), "01:02:00"),
        ("é".encode(), "é"),
        (True, True),
    ],
)
def test_a_cell_is_what_json_has(cell, value):
    assert plain(cell) == value


def test_a_missing_time_is_missing():
    pandas = pytest.importorskip("pandas")
    assert plain(pandas.NaT) is None and plain([pandas.Timestamp(0)]) == ["1970-01-01T00:00:00"]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (math.inf, "NaN or Infinity"),
        ([{"a": -math.inf}], "NaN or Infinity"),
        (Decimal("Infinity"), "NaN or Infinity"),
        (b"\xff", "invalid UTF-8"),
        (datetime.timedelta(1), "wrong type"),
        (object(), "wrong type"),
    ],
)
def test_a_cell_that_is_no_value(cell, reason):
    with pytest.raises(BadRecord) as caught:
        plain(cell)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1234567.0, "1234567"),
        (2.0**60, "1.152921504606847e+18"),
        (10**999, "1" + "0" * 999),
    ],
)
def test_numbers_as_text(number, text):
    assert text_of(number) == text
    assert text_of(True) is True and text_of("7") == "7"


def test_lists_go_on_lines_and_what_is_missing_nowhere():
    assert (
        joined(["a", None, 2.0], "prompt") == "a\n2" and joined(None, "prompt") == joined([], "prompt") == ""
    )
    for wrong in (True, [True], {}, [[]]):
        with pytest.raises(BadRecord, match=r"cannot put (bool|dict|list) into a text"):
            joined(wrong, "prompt")


def test_a_name_is_a_text_or_a_whole_number():
    assert [name_of(value, "id") for value in ("x", 3, 3.0, 10**400)] == ["x", "3", "3", "1" + "0" * 400]
    for wrong in (1.5, True, [], {}):
        with pytest.raises(BadRecord, match="must be a text or a whole number"):
            name_of(wrong, "id")
