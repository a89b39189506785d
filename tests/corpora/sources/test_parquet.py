"""Rows of a Parquet file."""

import datetime
from decimal import Decimal

import pytest
from test_jsonl import QA

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import parquet
from implicit_sparsity.errors import InputError


def test_parquet(tmp_path):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    rows = [{"q": f"question {i}", "a": f"answer {i}" if i != 7 else None, "k": i // 5} for i in range(20)]
    write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    options = {"path": str(tmp_path / "a.parquet"), "fields": QA | {"group": "k"}, "licence": "MIT"}
    with pytest.raises(InputError, match=r"a\.parquet: row 8: completion: is empty$"):
        list(parquet.documents(None, 0, **options))
    result = list(parquet.documents(None, 0, **options, on_bad="drop"))
    assert result[0] == Dropped("empty text") and len(result) == 20
    assert {r["group"] for r in result[1:]} == {"0", "1", "2", "3"}
    whole = (tmp_path / "a.parquet").read_bytes()
    whats = {
        b"not parquet": "is no Parquet file but something else",
        whole[: len(whole) // 2]: "is a damaged Parquet file",
        b'{"q": "json?"}': "is no Parquet file but JSON: `loader: jsonl` reads it",
        b"": "is no Parquet file but something else",
        b"\x1f\x8bxxxx": "is no Parquet file but a gzip file",
        b"q,a\nx,y\n": "is no Parquet file but a table of text",
    }
    for broken, what in whats.items():
        (tmp_path / "a.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=rf"a\.parquet: {what}"):
            list(parquet.documents(None, 0, **options))
    with pytest.raises(InputError, match="cannot be read"):
        list(parquet.documents(None, 0, **options | {"path": str(tmp_path / "none")}))


def collected(tmp_path, columns, on_bad="drop", fields=QA, **options) -> list:
    """(prompt, completion) of each record, the reason of each Dropped, of a table of these columns."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    names, arrays = zip(*columns)
    write_table(
        pa.Table.from_arrays(
            [pa.array(*a) if isinstance(a, tuple) else pa.array(a) for a in arrays], names=names
        ),
        tmp_path / "d.parquet",
    )
    items = parquet.documents(None, 0, str(tmp_path / "d.parquet"), "MIT", fields, on_bad, **options)
    return [i.reason if isinstance(i, Dropped) else (i["prompt"], i["completion"]) for i in items]


def test_only_columns_that_are_named_are_read(tmp_path):
    import pyarrow as pa

    beyond = ([2**60] * 2, pa.timestamp("us"))  # a year that Python has not
    mars = ([1, 2], pa.timestamp("us", "Mars/Olympus"))
    nested = ([{"text": "x", "when": 2**60}] * 2, pa.struct([("text", pa.string()), ("when", beyond[1])]))
    columns = [
        ("q", ["1?", "2?"]),
        ("a", ["x", "y"]),
        ("t", beyond),
        ("z", mars),
        ("z", beyond),
        ("n", nested),
    ]
    assert sorted(collected(tmp_path, columns)) == [("1?", "x"), ("2?", "y")]
    assert sorted(collected(tmp_path, columns, fields=QA | {"completion": "n.text"})) == [
        ("1?", "x"),
        ("2?", "x"),
    ]
    with pytest.raises(InputError, match=r"d\.parquet: row 1: column 't' cannot be read: "):
        collected(tmp_path, columns, "refuse", QA | {"group": "t"})
    one = [("q", ["1?", "2?", "3?"]), ("a", ([2**60, 0, None], beyond[1]))]
    assert collected(tmp_path, one) == ["unreadable value", "empty text", ("2?", "1970-01-01T00:00:00")]
    with pytest.raises(InputError, match=r"d\.parquet: fields\.group: has the column 'z' 2 times$"):
        collected(tmp_path, columns, fields=QA | {"group": "z"})
    with pytest.raises(
        InputError, match=r"fields\.completion: has no column 'b' \(it has: q, a, t, z, z, n\)$"
    ):
        collected(tmp_path, columns, fields={"completion": "b"})


def test_types_of_columns(tmp_path):
    import pyarrow as pa

    columns = {
        "large": (["x"], pa.large_string()),
        "words": pa.array(["x"]).dictionary_encode(),
        "bytes": ([b"x"], pa.binary()),
        "view": (["x"], pa.string_view()),
        "a.b": ["x"],
        "deep": [{"in": {"it": "x"}}],
    }
    for name, column in columns.items():
        path = "deep.in.it" if name == "deep" else name
        assert collected(tmp_path, [(name, column)], fields={"completion": path}) == [("", "x")], name
    texts = {"decimal": ([Decimal("1.50")], "1.50"), "date": ([datetime.date(2024, 2, 29)], "2024-02-29")}
    for name, (column, text) in texts.items():
        assert collected(tmp_path, [("q", column), ("a", ["y"])]) == [(text, "y")], name
    assert collected(tmp_path, [("q", ([b"\xff"], pa.binary())), ("a", ["y"])]) == ["invalid UTF-8"]
    assert collected(tmp_path, [("q", ["?"]), ("a", [[1]])]) == ["wrong type"]


def test_missing_numbers_and_lists_of_choices(tmp_path):
    nan = float("nan")
    answers = [("q", ["1?", "2?", "3?"]), ("n", [nan, 2.0, float("inf")])]
    fields = {"prompt": "q", "answer": "n"}
    assert collected(tmp_path, answers, fields=fields) == ["empty text", "NaN or Infinity", ("2?", "2")]
    choices = [("q", ["1?", "2?"]), ("c", [["l", "r", None], ["l", "r", "m"]]), ("n", [1.0, 2.0])]
    found = collected(tmp_path, choices, fields=fields | {"choices": "c"})
    assert sorted(found) == [("1?", "r"), ("2?", "m")]


def test_conversations_of_a_table(tmp_path):
    messages = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], None]
    assert collected(tmp_path, [("messages", messages)], fields=None, layout="messages") == [
        "empty text",
        ("q", "a"),
    ]
    with pytest.raises(InputError, match=r"^layout: 'mapping' is not one of lines, messages$"):
        collected(tmp_path, [("messages", messages)], layout="mapping")
