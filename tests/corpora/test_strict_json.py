"""What Python's parser takes and JSON has not, and where the rows of one array or object end."""

import json
import sys

import pytest

from implicit_sparsity.corpora.bad import BadRecord
from implicit_sparsity.corpora.strict_json import MAX_BYTES, MAX_DEPTH, MAX_DIGITS, entries, pair, parse

BAD = {
    b'{"a": NaN}': ("NaN or Infinity", "NaN is no JSON"),
    b'[[{"a": -Infinity}]]': ("NaN or Infinity", "-Infinity is no JSON"),
    b'{"a": 1e999}': ("over-long number", "1e999 is too large, or has too many digits"),
    b"7" * 5000: ("over-long number", "a number of 5000 digits, at most 1000 allowed"),
    b'{"b": {"a": 1, "a": 1}}': ("key given twice", "'a' is given twice"),
    b'{"\\u0061": 1, "a": 2}': ("key given twice", "'a' is given twice"),
    b"\xff": ("invalid UTF-8", "not UTF-8 at byte 0 of the row"),
    b'"\xed\xa0\x80"': ("invalid UTF-8", "not UTF-8 at byte 1 of the row"),
    b'{"a": "raw \n line"}': ("invalid JSON", "not JSON: Invalid control character"),
    b"[" * 100_000: ("nested too deep", "has more than 100 brackets within brackets"),
    b'{"a": 1} {"a": 2}': ("invalid JSON", "not JSON: Extra data"),
    b"{'a': 1}": ("invalid JSON", "not JSON: Expecting property name"),
    b"": ("invalid JSON", "not JSON: Expecting value"),
}


@pytest.mark.parametrize("raw", BAD, ids=[str(raw[:20]) for raw in BAD])
def test_what_is_no_json_is_a_bad_row(raw):
    bad = parse(raw)
    assert isinstance(bad, BadRecord) and "\n" not in str(bad)
    assert (bad.reason, str(bad)[: len(BAD[raw][1])]) == BAD[raw]


@pytest.mark.parametrize(
    "value",
    [
        int("7" * MAX_DIGITS),
        -0.5e-300,
        "[" * 5000,  # in a text, brackets are no depth
        [[[]] * 300] * 3,
        {"a": {"a": {"a": "\u2028 \U0001f9e0"}}},
        None,
        True,
    ],
)
def test_what_is_json_is_what_python_reads(value):
    for ascii_only in (True, False):
        assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


def test_as_deep_as_is_allowed_and_not_deeper():
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) != []
    assert isinstance(parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)), BadRecord)
    assert sys.getrecursionlimit() > 5 * MAX_DEPTH and sys.get_int_max_str_digits() > MAX_DIGITS


def test_a_row_that_is_too_long_is_not_parsed():
    assert parse(b" " * (MAX_BYTES + 1)).reason == "over-long row"


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"[]", []),
        (b" { } ", []),
        (b"[1]", [b"1"]),
        (b'[{"a": [1, 2]}, "],[", 3 ]', [b'{"a": [1, 2]}', b' "],["', b" 3 "]),
        (b'["\\"", "\\\\"]', [b'"\\""', b' "\\\\"']),
        (b"[1,]", [b"1"]),
        (b"[,1]", [b"", b"1"]),
        (b'{"a": 1, "b": {"c": 2}}', [b'"a": 1', b' "b": {"c": 2}']),
    ],
)
def test_entries_are_what_stands_between_the_outermost_commas(raw, parts):
    assert list(entries(raw)) == parts


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"[1, 2", "is cut off"),
        (b'["1, 2]', "is cut off"),
        (b"[[1]", "is cut off"),
        (b"[1] 2", "goes on after"),
        (b"{}}", "goes on after"),
    ],
)
def test_brackets_that_do_not_close_once(raw, words):
    with pytest.raises(BadRecord, match=words):
        list(entries(raw))


def test_a_pair_is_a_key_and_a_value():
    assert pair(b' "a\\"b" : {"c": 1}') == (b'"a\\"b"', b' {"c": 1}')
    assert pair(b'{"a": 1}') is None and pair(b'"a" 1') is None and pair(b"") is None
