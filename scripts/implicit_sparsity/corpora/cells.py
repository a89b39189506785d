"""Values of a table's cells: which count as empty, and what text the others are.

A cell is what JSON has (text, number, truth value, list, object), or what a column of a data frame has
besides. NaN, NaT and null are one thing, a value that is missing; Infinity is no value at all.
"""

import datetime
import math
from decimal import Decimal

from .bad import BadRecord

EXACT = 2**53  # whole numbers below are exact as floats: an integer column with a gap comes as floats


def plain(value, key: str | None = None):
    """A cell as JSON has it: missing as None; dates, times and decimals as text; BadRecord for the rest."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | Decimal):
        if math.isinf(value):
            raise BadRecord("NaN or Infinity", f"{value} is no value", key)
        if math.isnan(value):
            return None
        return value if isinstance(value, float) else f"{value:f}"
    if isinstance(value, dict):
        return {name: plain(part, key) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, key) for part in value]
    if isinstance(value, datetime.date | datetime.time):
        return None if str(value) == "NaT" else value.isoformat()
    if isinstance(value, bytes):
        return _decoded(value, key)
    raise BadRecord("wrong type", f"cannot read {type(value).__name__}", key)


def _decoded(value: bytes, key: str | None) -> str:
    """A column of bytes is text where an older program wrote it: as UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord("invalid UTF-8", f"bytes that are not UTF-8 (at {error.start})", key) from None


def is_number(value) -> bool:
    """Whether a cell is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value) -> bool:
    """Whether a cell is a whole number, 3 or 3.0."""
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def number_text(value) -> str:
    """A number as text: 3 and 3.0 are "3"."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return str(value)


def text_of(value):
    """A number as text; anything else as it is, for the check of the record."""
    return number_text(value) if is_number(value) else value


def joined(value, key: str) -> str:
    """A cell inside a text of columns: a list on lines, nothing for what is missing."""
    parts = [part for part in (value if isinstance(value, list) else [value]) if part is not None]
    for part in parts:
        if not isinstance(part, str) and not is_number(part):
            raise BadRecord("wrong type", f"cannot put {type(part).__name__} into a text", key)
    return "\n".join(map(text_of, parts))


def name_of(value, key: str) -> str:
    """An id or a group, which may be a whole number in the user's table."""
    if not isinstance(value, str) and not is_whole(value):
        raise BadRecord("wrong type", f"must be a text or a whole number, found {type(value).__name__}", key)
    return text_of(value)
