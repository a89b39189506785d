r"""JSON as RFC 8259 has it: what Python's own parser takes besides, or passes over, is a bad row.

    {"a": NaN}   {"a": 1e999}   {"a": 1, "a": 2}   77..7 (more than 1,000 digits)   [[..[ (more than 100 deep)

One door for the lines of a file and for the rows inside one array or object: each is parsed by itself, so
that a bad one is refused, or dropped, alone.
"""

import json
import math
import re
from collections.abc import Iterator

from implicit_sparsity.errors import InputError

from .bad import BadRecord

MAX_DIGITS = 1000  # of a number; Python itself stops at 4,300
MAX_DEPTH = 100  # brackets within brackets
MAX_BYTES = 2**26  # of a row; a longer one is a broken file
BOM = b"\xef\xbb\xbf"
TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
KEY = re.compile(rb'\s*("(?:[^"\\]++|\\.)*+")\s*:', re.DOTALL)


def parse(raw: bytes):
    """The value of one row, or the BadRecord that says what is wrong with it."""
    if len(raw) > MAX_BYTES:
        return BadRecord("over-long row", f"has {len(raw):,} bytes, at most {MAX_BYTES:,} allowed")
    try:
        text = raw.decode("utf-8-sig")
        _check_depth(raw)
        return DECODER.decode(text)
    except BadRecord as bad:
        return bad
    except UnicodeDecodeError as error:
        return BadRecord("invalid UTF-8", f"not UTF-8 at byte {error.start} of the row")
    except json.JSONDecodeError as error:
        return BadRecord("invalid JSON", f"not JSON: {error}")


def value(raw: bytes, path):
    """The value of one row of a file that we pin; InputError naming it where it is not what JSON has."""
    row = parse(raw)
    if isinstance(row, BadRecord):
        raise InputError(str(row), path)
    return row


def entries(raw: bytes) -> Iterator[bytes]:
    """What stands between the commas of the outermost brackets; BadRecord where they do not close.

    Unclosed, they end in the part that is left; what follows them is not read as theirs.
    """
    depth = start = 0
    for token in TOKENS.finditer(raw):
        what = token[0]
        if what in (b"[", b"{"):
            depth += 1
            if depth == 1:
                start = token.end()
        elif what in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and what == b","):
            part, start = raw[start : token.start()], token.end()
            if part.strip() or depth:
                yield part
        if depth == 0:
            break
    if depth:
        raise BadRecord("invalid JSON", "is cut off: its outermost bracket does not close")
    if raw[start:].strip():
        raise BadRecord("invalid JSON", "goes on after its outermost bracket")


def pair(raw: bytes) -> tuple[bytes, bytes] | None:
    """Key (a JSON text) and value of one entry of an object; None where it is no such pair."""
    match = KEY.match(raw)
    return (match[1], raw[match.end() :]) if match else None


def _check_depth(raw: bytes):
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for token in TOKENS.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise BadRecord("nested too deep", f"has more than {MAX_DEPTH} brackets within brackets")


def _object(pairs: list) -> dict:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise BadRecord("key given twice", f"{twice[:60]!r} is given twice")
    return result


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise BadRecord("over-long number", f"a number of {len(digits)} digits, at most {MAX_DIGITS} allowed")
    return int(digits)


def _decimal(digits: str) -> float:
    if len(digits) > MAX_DIGITS or math.isinf(value := float(digits)):
        raise BadRecord("over-long number", f"{digits[:30]} is too large, or has too many digits")
    return value


def _constant(word: str):
    raise BadRecord("NaN or Infinity", f"{word} is no JSON")


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_decimal, parse_constant=_constant
)
