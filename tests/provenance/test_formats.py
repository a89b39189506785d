"""A record read back out of files planted byte by byte, and out of damaged ones: nothing."""

import json
import struct
import zlib
from types import SimpleNamespace

import pytest
from snakemake.persistence.file import FilePersistence

from implicit_sparsity.provenance import formats

RECORD = {"rule": "work", "text": "(a) \\ -- é", "id": "5"}
LINE = json.dumps({"provenance": RECORD})


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*comments: bytes) -> bytes:
    texts = b"".join(chunk(b"tEXt", comment) for comment in comments)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + texts + chunk(b"IEND", b"")


def pdf(text: str) -> bytes:
    """As PDF writes a string: backslash and parentheses behind a backslash."""
    escaped = text.translate({ord(letter): f"\\{letter}" for letter in "\\()"})
    return b"%PDF-1.4\n1 0 obj\n<< /Keywords (" + escaped.encode() + b") /Producer (x) >>\nendobj\n"


PLAIN = json.dumps(RECORD)
WHOLE = {
    "a.json": {"a.json": json.dumps({"provenance": RECORD, "x": 1})},
    "list.json": {"list.json": "[1]", "list.json.provenance.json": PLAIN},
    "a.csv": {"a.csv": "x\n", "a.csv-metadata.json": json.dumps({"notes": [{"provenance": RECORD}]})},
    "a.jsonl": {"a.jsonl": "", "a.manifest.json": LINE},
    "a.tex": {"a.tex": f"x % {{}}\n% {LINE}\n"},
    "a.md": {"a.md": f"# x\n\n<!-- {LINE} -->\n"},
    "a.html": {"a.html": f"<p>\n<!-- {LINE} -->"},
    "a.png": {"a.png": png(b"Software\0x", b"Comment\0" + PLAIN.encode())},
    "a.pdf": {"a.pdf": pdf(PLAIN)},
    "a.npy": {"a.npy": "x", "a.npy.provenance.json": PLAIN},
    "folder": {"folder/provenance.json": PLAIN},
    "s.zarr": {"s.zarr/zarr.json": json.dumps({"attributes": {"title": "t", "provenance": RECORD}})},
}
NONE = {
    "no key.json": {"no key.json": '{"x": 1}'},
    "not json.json": {"not json.json": "{"},
    "not text.json": {"not text.json": b"\xff"},
    "no sidecar.csv": {"no sidecar.csv": "x\n"},
    "no notes.csv": {"no notes.csv": "x\n", "no notes.csv-metadata.json": '{"notes": []}'},
    "no comment.tex": {"no comment.tex": "% words\n"},
    "empty.md": {"empty.md": ""},
    "comment before the end.md": {"comment before the end.md": f"<!-- {LINE} -->\n# x\n"},
    "no comment.png": {"no comment.png": png(b"Software\0x")},
    "cut.png": {"cut.png": png(b"Comment\0" + PLAIN.encode())[:70]},
    "not.png": {"not.png": b"x" * 5},
    "no keywords.pdf": {"no keywords.pdf": b"%PDF-1.4\n<< /Producer (x) >>"},
    "cut.pdf": {"cut.pdf": pdf(PLAIN)[:60]},
    "empty": {"empty/other.json": "{}"},
    "bare.zarr": {"bare.zarr/zarr.json": "{}"},
    "nowhere.pdf": {},
}


def read(tmp_path, name, files):
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return formats.read(tmp_path / name)


@pytest.mark.parametrize("name", WHOLE)
def test_every_format_is_read(tmp_path, name):
    assert read(tmp_path, name, WHOLE[name]) == RECORD


@pytest.mark.parametrize("name", NONE)
def test_what_holds_none_or_is_damaged_has_no_record(tmp_path, name):
    assert read(tmp_path, name, NONE[name]) is None


@pytest.mark.parametrize("length", [5, 180, 190, 191, 192, 400])
def test_a_note_lies_where_snakemake_puts_it(length):
    path = "é" + "p" * (length - 1)
    there = SimpleNamespace(_fetch_max_len=lambda subject: 255)
    assert formats.snakemake_note(path) == FilePersistence._record_path(there, ".snakemake/metadata", path)
