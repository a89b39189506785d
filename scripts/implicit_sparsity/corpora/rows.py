"""Rows of a file of JSON, plain or gzipped: an object a line, an array of objects, one object keyed by id.

Rows are (place, value): the number of a line, ``Row`` of an array, or a key; the value of a row that cannot
be read is a BadRecord. What cannot be JSON at all is refused in a line that says what it is.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from implicit_sparsity.errors import InputError

from .bad import BadRecord, Row
from .strict_json import BOM, MAX_BYTES, entries, pair, parse

GZIP = b"\x1f\x8b"
KINDS = {  # first bytes -> what has them
    b"PAR1": "a Parquet file: `loader: parquet` reads it",
    b"PARE": "an encrypted Parquet file",
    b"ARROW1": "an Arrow file: save it as Parquet or JSON Lines",
    b"\xfd7zXZ\x00": "compressed by xz: unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it, or use gzip",
    b"BZh": "compressed by bzip2: unpack it, or use gzip",
    b"\x04\x22\x4d\x18": "compressed by lz4: unpack it, or use gzip",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"PK\x03\x04": "a ZIP archive (or a spreadsheet): unpack it",
    b"SQLite format 3": "an SQLite database: export its table as JSON Lines",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
    b"version https://git-lfs": "a Git LFS pointer, not the data: `git lfs pull` fetches them",
    b"<": "HTML or XML",
}
OBJECT = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*\n\s*"')
TEXT = "JSON, an object a line or an array of objects, is wanted"


@contextmanager
def opened(path):
    """The bytes of a file, unpacked where it is gzipped; InputError where it is not to be read as text."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise InputError(f"must be the path of a file, found {path!r}", key="path")
    try:
        with open(path, "rb") as file:
            if file.read(2) != GZIP:
                yield _checked(file, path)
            else:
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as inner:
                    yield _checked(inner, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        words = "is cut off" if isinstance(error, EOFError) else f"is damaged ({error})"
        raise InputError(f"the gzip file {words}", path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path) from None


def _checked(file, path):
    """``file``, at its beginning, or an InputError that says what else it is."""
    file.seek(0)
    if other := other_kind(file.read(4096)):
        raise InputError(f"is {other}", path)
    file.seek(0)
    return file


def other_kind(start: bytes) -> str | None:
    """What a file that begins so is, in words, where it is not JSON."""
    start = start.removeprefix(BOM)
    bare = start.lstrip()
    for magic, words in KINDS.items():
        if start.startswith(magic) or (magic == b"<" and bare.startswith(magic)):
            return words if ":" in words else f"{words}: {TEXT}"
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it"
    if start[:1] == b"\0" or start[1:2] == b"\0":
        return "not UTF-8, perhaps UTF-16: save it as UTF-8"
    if re.match(rb"[^\[{\n]*[,;\t]", bare) and not re.search(rb"^\s*[{\[]", bare, re.MULTILINE):
        return f"a table of text (CSV, TSV), or no table: {TEXT}"
    return None


def lines(path) -> Iterator[tuple]:
    """(line number, value) of each line that is not blank; (Row, value) of a file that is one array."""
    with opened(path) as file:
        if file.read(4096).removeprefix(BOM).lstrip().startswith(b"["):
            file.seek(0)
            whole = file.read().removeprefix(BOM)
            if _is_array(whole):
                yield from _array(whole, path)
                return
        file.seek(0)
        if OBJECT.match(file.read(4096)):
            raise InputError("is one object on several lines: `layout: mapping` reads one keyed by id", path)
        file.seek(0)
        number = 0
        while raw := file.readline(MAX_BYTES + 1):
            number += 1
            size = len(raw)
            while size > MAX_BYTES and not raw.endswith(b"\n") and raw:
                raw = file.readline(MAX_BYTES)  # the rest of a line that is too long, piece by piece
            if size > MAX_BYTES:
                yield number, BadRecord("over-long row", f"has more than {MAX_BYTES:,} bytes")
            elif raw.removeprefix(BOM).strip():
                yield number, parse(raw)


def keyed(path) -> Iterator[tuple[str | Row, object]]:
    """(key, value) of one object."""
    with opened(path) as file:
        raw = file.read().removeprefix(BOM).strip()
    if raw.startswith(b"["):
        words = "must be one JSON object keyed by id, found an array: `layout: lines` reads it"
        raise InputError(words, path)
    if not raw.startswith(b"{"):
        raise InputError("must be one JSON object keyed by id", path)
    seen = set()
    for number, entry in enumerate(_entries(raw, path), 1):
        key, value = pair(entry) or (b"", b"")
        key = parse(key)
        if not isinstance(key, str):
            yield Row(number), BadRecord("invalid JSON", "not a key and its value")
        elif key in seen:
            yield key, BadRecord("key given twice", "is given twice")
        else:
            seen.add(key)
            yield key, parse(value)


def _is_array(raw: bytes) -> bool:
    """Whether what begins with [ is one array, and not lines of which the first is a list, or broken."""
    first, _, rest = raw.strip().partition(b"\n")
    if not rest.strip():
        return True
    if not isinstance(parse(first), BadRecord):
        return False
    if raw.rstrip().endswith(b"]") or first.rstrip().endswith((b"[", b",")):
        return True
    return isinstance(parse(rest.strip().partition(b"\n")[0]), BadRecord)


def _array(raw: bytes, path) -> Iterator[tuple[Row, object]]:
    for number, entry in enumerate(_entries(raw, path), 1):
        yield Row(number), parse(entry)


def _entries(raw: bytes, path) -> Iterator[bytes]:
    try:
        yield from entries(raw)
    except BadRecord as bad:
        raise InputError(str(bad), path) from None
