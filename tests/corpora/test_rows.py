"""Rows of files: lines, arrays, objects keyed by id, gzipped or not, and what is no such file."""

import gzip
import json
import random
import time

import pytest

from implicit_sparsity.corpora import rows
from implicit_sparsity.corpora.bad import BadRecord, Row
from implicit_sparsity.errors import InputError

ONE, TWO = {"q": "one?", "a": "é"}, {"q": "two?", "a": ["]", "\u2028"]}
LINES = [json.dumps(row, ensure_ascii=False).encode() for row in (ONE, TWO)]
BOM = b"\xef\xbb\xbf"


def read(path, content: bytes, reader=rows.lines) -> list:
    """(place, value), of a bad one its reason."""
    path.write_bytes(content)
    return [(p, v.reason if isinstance(v, BadRecord) else v) for p, v in reader(path)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "places"),
    [
        (b"\n".join(LINES), [1, 2]),
        (BOM + b"\r\n\r\n".join(LINES) + b"\r\n", [1, 3]),
        (LINES[0] + b"\n" + BOM + LINES[1], [1, 2]),
        (b"[%s,%s]" % tuple(LINES), [Row(1), Row(2)]),
        (BOM + b" \n[\n  %s,\n  %s\n]\n" % tuple(LINES), [Row(1), Row(2)]),
        (json.dumps([ONE, TWO], indent=2).encode(), [Row(1), Row(2)]),
    ],
)
def test_lines_and_arrays_have_the_same_rows(tmp_path, content, places, packed):
    found = read(tmp_path / "a.jsonl", gzip.compress(content) if packed else content)
    assert found == list(zip(places, [ONE, TWO])) and [type(p) for p, _ in found] == [type(p) for p in places]


def test_a_bad_row_is_bad_alone(tmp_path):
    expected = ["NaN or Infinity", "key given twice", "invalid UTF-8", "invalid JSON", ONE]
    bad = [b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": "\xff"}', b"nonsense", LINES[0]]
    assert [value for _, value in read(tmp_path / "a", b"\n".join(bad))] == expected
    assert [value for _, value in read(tmp_path / "a", b"[" + b",".join(bad) + b"]")] == expected
    keyed = b",".join(b'"k%d": %s' % pair for pair in enumerate(bad))
    found = read(tmp_path / "a", b'{%s, "k4": {}, 5, x}' % keyed, rows.keyed)
    assert [value for _, value in found] == [*expected, "key given twice", "invalid JSON", "invalid JSON"]
    assert [place for place, _ in found] == ["k0", "k1", "k2", "k3", "k4", "k4", Row(7), Row(8)]


def test_lines_that_are_lists_are_lines(tmp_path):
    assert read(tmp_path / "a", b"[1, 2]\n" + LINES[0]) == [(1, [1, 2]), (2, ONE)]
    assert read(tmp_path / "a", b"[1, 2\n" + LINES[0]) == [(1, "invalid JSON"), (2, ONE)]


def test_a_line_that_is_too_long_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 50)
    long = b'{"q": "%s"}' % (b"x" * 500)
    assert read(tmp_path / "a", b"\n".join([LINES[0], long, LINES[1], long])) == [
        (1, ONE), (2, "over-long row"), (3, TWO), (4, "over-long row")
    ]  # fmt: skip


PARQUET, TAR = b"PAR1" + b"\0" * 20, b"a.jsonl".ljust(257, b"\0") + b"ustar"
OTHERS = {
    "is a Parquet file: `loader: parquet` reads it": PARQUET,
    "is text in UTF-16: save it as UTF-8": LINES[0].decode().encode("utf-16"),
    "is not UTF-8, perhaps UTF-16": LINES[0].decode().encode("utf-16-le"),
    "is not UTF-8, perhaps UTF-16: save": LINES[0].decode().encode("utf-16-be"),
    "is a table of text (CSV, TSV)": b"question,answer\nx,y\n",
    "is a table of text (CSV, TSV), or": b'\xef\xbb\xbf"q"\t"a"\nx\ty\n',
    "is compressed by xz": b"\xfd7zXZ\x00\x00",
    "is compressed by zstd": b"\x28\xb5\x2f\xfd\x00",
    "is compressed by bzip2": b"BZh91AY",
    "is a ZIP archive": b"PK\x03\x04\x14",
    "is HTML or XML: JSON, an object a line": b"\n<!DOCTYPE html>",
    "is a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    "is a tar archive": gzip.compress(TAR),
    "is a Parquet file": gzip.compress(PARQUET),
    "the gzip file is cut off": gzip.compress(random.Random(0).randbytes(400).hex().encode())[:-200],
    "the gzip file is damaged": gzip.compress(b"\n".join(LINES))[:-8] + b"\0" * 8,
    "is cut off: its outermost bracket does not close": b"[%s,\n%s" % tuple(LINES),
    "goes on after its outermost bracket": b"[%s][%s]" % tuple(LINES),
    "is one object on several lines: `layout: mapping`": json.dumps({"k": ONE}, indent=1).encode(),
}


@pytest.mark.parametrize("words", OTHERS)
def test_what_is_no_file_of_rows_says_what_it_is(tmp_path, words):
    path = tmp_path / "a.jsonl"
    with pytest.raises(InputError) as caught:
        read(path, OTHERS[words])
    assert str(caught.value).startswith(f"{path}: {words}")


def test_a_first_line_that_is_broken_makes_no_table(tmp_path):
    assert read(tmp_path / "a", b"broken, line\n" + LINES[0]) == [(1, "invalid JSON"), (2, ONE)]


@pytest.mark.parametrize("path", [5, True, "a\0b"])
def test_a_path_is_a_text(path):
    with pytest.raises(InputError, match=r"^path: must be the path of a file"):
        list(rows.lines(path))


def test_random_bytes_are_rows_or_one_line(tmp_path):
    """Whatever is in a file: rows, bad rows or an InputError, and never a second line of it."""
    rng, end = random.Random(1), time.monotonic() + 1.5
    atoms = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\\", b"NaN", b"1e999", BOM, b"\0", b"\xff"]
    tried = 0
    while tried < 200 or time.monotonic() < end:
        content = b"".join(rng.choice([*atoms, *LINES, rng.randbytes(3)]) for _ in range(rng.randint(0, 30)))
        content = gzip.compress(content, 1)[: rng.randint(0, 400)] if rng.random() < 0.2 else content
        for reader in (rows.lines, rows.keyed):
            try:
                read(tmp_path / "a", content, reader)
            except InputError as error:
                assert "\n" not in str(error)
        tried += 1
