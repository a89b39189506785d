"""One record of a corpus: its fields, what makes it bad, and how it is read and written.

A line of a corpus file is one JSON object, its keys in this order (those in brackets may be absent):

    {"id": "hpo:HP:0000107", "group": "HP:0000077 Abnormality of the kidney", "source": "hpo",
     "prompt": "Which clinical finding is defined as follows? A fluid filled sac in the kidney.",
     "completion": "Renal cyst", ["choices": ["Renal cyst", ...], "answer": "Renal cyst", "correct": 0,]
     "licence": "HPO licence", ["open": true]}

``group`` is the unit that never straddles two splits. ``answer`` is a text; where there are ``choices`` it is
one of them, except after a split, where ``correct`` (an index into ``choices``) takes that role and
``answer`` may be the number a worked solution ends in. ``open`` marks what has many good answers, so that no
wrong ones are drawn for it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

from . import rows
from .bad import BadRecord, spelled
from .sameness import key as same

FIELDS = ("id", "group", "source", "prompt", "completion", "choices", "answer", "correct", "licence", "open")
REQUIRED = ("id", "group", "source", "prompt", "completion", "licence")
MAX_CHARS = 100_000  # a longer prompt, completion or choice is a broken file, not a document
ON_BAD = ("refuse", "drop")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")  # all below the space but tab and ends of lines and pages


# reasons of across.py, each with its domain's name behind it
IN_OTHER_DOMAINS = ("duplicate of domain", "n-gram overlap with domain")


@dataclass(frozen=True)
class Dropped:
    """What stands in place of a record that is left out, so that it is counted."""

    reason: str
    source: str = ""  # of the record, where that is not clear


def check(record: dict, max_chars: int = MAX_CHARS) -> dict:
    """Return ``record`` with its keys in order; raise BadRecord naming the field and what is wrong.

    ``max_chars``: of a prompt, of a completion and of a choice.
    """
    if not isinstance(record, dict):
        raise BadRecord("wrong type", f"a record is a JSON object, found {type(record).__name__}")
    for key in REQUIRED:
        if key not in record:
            raise BadRecord("missing field", f"missing field {key!r}", key)
    if unknown := sorted(set(record) - set(FIELDS)):
        raise BadRecord("unknown field", f"unknown field {unknown[0]!r} (allowed: {', '.join(FIELDS)})")
    for key in (*REQUIRED, *(["answer"] if "answer" in record else [])):
        _text(record[key], key, max_chars, may_be_empty=key == "prompt")
    if "choices" in record:
        record = record | _choices(record, max_chars)
    elif "correct" in record:
        raise BadRecord("missing field", "'correct' needs 'choices'", "correct")
    if not isinstance(record.get("open", False), bool):
        raise BadRecord("wrong type", "must be true or false", "open")
    return {key: record[key] for key in FIELDS if key in record}


def _text(value, key: str, max_chars: int, may_be_empty: bool = False):
    if not isinstance(value, str):
        raise BadRecord("wrong type", f"must be a text, found {type(value).__name__}", key)
    if not may_be_empty and not value.strip():
        raise BadRecord("empty text", "is empty", key)
    if len(value) > max_chars:
        raise BadRecord("over-long text", f"has {len(value)} characters, at most {max_chars} allowed", key)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise BadRecord("invalid UTF-8", "holds half of a surrogate pair, which no UTF-8 text can", key)
    if control := CONTROL.search(value):
        raise BadRecord("control character", f"holds the control character {control[0]!r}", key)


def _choices(record: dict, max_chars: int) -> dict:
    """The answer as its choice has it, where it is one: two texts are compared as sameness.key has it."""
    choices = record["choices"]
    if not isinstance(choices, list):
        raise BadRecord("wrong type", f"must be a list, found {type(choices).__name__}", "choices")
    for choice in choices:
        _text(choice, "choices", max_chars)
    if len(choices) < 2:
        raise BadRecord("too few choices", f"needs two or more, found {len(choices)}", "choices")
    named: dict[str, str] = {}
    for choice in choices:
        if other := named.get(same(choice)):
            form = "" if other == choice else f", as {other[:60]!r} too"
            raise BadRecord("duplicate choices", f"{choice[:60]!r} is there twice{form}", "choices")
        named[same(choice)] = choice
    if "correct" in record:
        correct = record["correct"]
        if not isinstance(correct, int) or isinstance(correct, bool) or not 0 <= correct < len(choices):
            raise BadRecord("wrong type", f"must be an index into {len(choices)} choices", "correct")
        return {}
    if "answer" not in record:
        raise BadRecord("missing field", "a record with choices needs an answer", "answer")
    if same(record["answer"]) not in named:
        raise BadRecord(
            "answer not in choices", f"{record['answer'][:60]!r} is not one of the choices", "answer"
        )
    return {"answer": named[same(record["answer"])]}


def checked(items: Iterable, path, max_chars: int = MAX_CHARS, on_bad: str = "refuse") -> Iterator:
    """Records and Dropped from (place, record, Dropped or BadRecord); a second use of an id is bad too.

    ``on_bad="refuse"`` turns the first bad one into an InputError at its place (a line number, a Row, or a
    text); ``"drop"`` yields ``Dropped(reason)`` for it.
    """
    if on_bad not in ON_BAD:
        raise InputError(f"{on_bad!r} is not one of {', '.join(ON_BAD)}", key="on_bad")
    seen: dict[str, object] = {}
    for place, row in items:
        if isinstance(row, Dropped):
            yield row
            continue
        try:
            if isinstance(row, BadRecord):
                raise row
            record = check(row, max_chars)
            if record["id"] in seen:
                words = f"{record['id'][:80]!r} was used before, at {spelled(seen[record['id']])}"
                raise BadRecord("duplicated id", words, "id")
            seen[record["id"]] = place
            yield record
        except BadRecord as bad:
            if on_bad == "refuse":
                line = place if type(place) is int else None
                at = path if line is not None else f"{path}: {spelled(place)}"
                raise InputError(str(bad), at, line, bad.key) from None
            yield Dropped(bad.reason)


def read_jsonl(path, max_chars: int = MAX_CHARS, on_bad: str = "refuse") -> tuple[list[dict], Counter]:
    """All records of a corpus file, and how many were dropped for which reason."""
    result, dropped = [], Counter()
    for item in checked(rows.lines(path), path, max_chars, on_bad):
        if isinstance(item, Dropped):
            dropped[item.reason] += 1
        else:
            result.append(item)
    return result, dropped


def write_jsonl(path, records: Iterable[dict]) -> int:
    """Write one record a line (UTF-8, keys in order) and return how many; the caller renames into place."""
    count = 0
    with open(Path(path), "w", encoding="utf-8", newline="\n") as file:
        for record in records:
            ordered = {key: record[key] for key in FIELDS if key in record}
            file.write(json.dumps(ordered, ensure_ascii=False) + "\n")
            count += 1
    return count
