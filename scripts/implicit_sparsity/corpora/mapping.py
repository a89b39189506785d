"""Rows of a user's table -> records, by the field names given in the config.

    fields: {prompt: question, completion: answer, group: subject}      a column, or a dotted path into it
    fields: {prompt: "{CONTEXTS}\nQuestion: {QUESTION}", ...}           a text with columns; lists go on lines
    fields: {choices: [opa, opb, opc, opd], answer: cop}                columns, or one list column
    fields: {messages: conversations}                                   turns of a conversation

``answer`` may be the choice itself, its index or its letter (answers.py). Without ``completion`` the answer
is the completion; without ``prompt`` the text is the completion alone; without ``id`` the place in the file
is the id; without ``group`` every document is its own. A null or NaN in a column, or a column that only other
rows have, is as if the column were not named; where its text is needed the row is bad.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from implicit_sparsity.errors import InputError

from .answers import Answers, Both
from .bad import BadRecord
from .cells import joined, name_of, plain, text_of
from .conversations import prompt_and_completion
from .fields import IN_TEXT, MESSAGES, check_options
from .records import Dropped, checked
from .sampling import sample, within

OPTIONAL = ("id", "group", "choices", "answer")  # a row may be without


def table(
    rows: Iterable, path, fields: dict, licence: str, limit=None, seed=0, on_bad="refuse",
    choices: list | None = None, answer_pattern: str = "", max_chars: int | None = None,
) -> Iterator[dict | Dropped]:  # fmt: skip
    """Records of (place, row or BadRecord) pairs, ``limit`` of them drawn by seed.

    ``choices`` are the same for every row (yes, no, maybe). ``answer_pattern``: a regular expression whose
    first group, found last in the completion, is the answer (GSM8K: ``#### (.+)``). Raises InputError for
    wrong options and, under ``on_bad="refuse"``, for the first bad row.
    """
    pattern = check_options(fields, licence, choices, answer_pattern)
    mapped = Mapping(fields, licence, choices, pattern).records(rows, path)
    records = checked(mapped, path, on_bad=on_bad)
    yield from sample(within(records, max_chars), limit, seed)


@dataclass(frozen=True)
class Mapping:
    """How rows of one source become records."""

    fields: dict
    licence: str
    choices: list | None
    pattern: re.Pattern | None

    def records(self, rows: Iterable, path=None) -> Iterator[tuple]:
        """(place, record or BadRecord); rows with answers that may be read in two ways come last."""
        answers, waiting, any_read = Answers(), [], False
        absent = set(OPTIONAL) & set(self.fields)
        for place, row in rows:
            try:
                if isinstance(row, BadRecord):
                    raise row
                absent -= {key for key in absent if _has(row, self.fields[key])}
                any_read = True
                record = self._record(row, place, answers)
                if isinstance(record.get("answer"), Both):
                    waiting.append((place, record))
                else:
                    yield place, _complete(record)
            except BadRecord as bad:
                yield place, bad
        for key in sorted(absent) if any_read else ():  # a name mistyped, not a row without
            raise InputError(f"no row has the column {self.fields[key]!r}", path, key=f"fields.{key}")
        for place, record in waiting:
            try:
                yield place, _complete(record | {"answer": answers.settle(record["answer"])})
            except BadRecord as bad:
                yield place, bad

    def _record(self, row, place, answers: Answers) -> dict:
        if not isinstance(row, dict):
            raise BadRecord("wrong type", f"a row is a JSON object, found {type(row).__name__}")
        record = {"source": "-", "licence": self.licence, "prompt": ""} | self._cells(row)
        if isinstance(record["prompt"], str) and "prompt" in self.fields and not record["prompt"].strip():
            raise BadRecord("empty text", "is empty", "prompt")
        record["id"] = name_of(record.get("id", str(place)), "id")
        record["group"] = name_of(record.get("group", record["id"]), "group")
        if self.choices is not None:
            record["choices"] = list(self.choices)
        if self.pattern and isinstance(record.get("completion"), str):
            record["answer"] = self._final_answer(record["completion"])
        self._choose(record, answers)
        return record

    def _choose(self, record: dict, answers: Answers):
        """Choices as texts, and the answer that is one of them."""
        choices = record.get("choices")
        if choices is None and "choices" in self.fields:  # a letter or an index says nothing then
            if "completion" not in record:
                raise BadRecord("empty text", "is empty", "choices")
            record.pop("answer", None)
        if isinstance(choices, list):
            choices = list(map(text_of, choices))
            if wrong := [choice for choice in choices if not isinstance(choice, str | None)]:
                words = f"must be a text, found {type(wrong[0]).__name__}"
                raise BadRecord("wrong type", words, "choices")
            record["choices"] = [choice for choice in choices if choice is not None]
        if "answer" in record:
            record["answer"] = answers.read(record["answer"], choices if isinstance(choices, list) else None)

    def _cells(self, row: dict) -> dict:
        """The fields that the row has, by name; BadRecord for a needed one that is missing."""
        cells = {}
        for key, spec in self.fields.items():
            value = _value(row, spec, key)
            if key == MESSAGES and value is not None:
                cells["prompt"], cells["completion"] = prompt_and_completion(value)
            elif value is not None:
                cells[key] = value
            elif key not in OPTIONAL:
                raise BadRecord("empty text", "is empty", key)
        if "completion" not in cells and "answer" not in cells:
            raise BadRecord("empty text", "is empty", "answer")
        return cells

    def _final_answer(self, completion: str) -> str:
        """What ``answer_pattern`` matches last."""
        matches = self.pattern.findall(completion)
        if not matches:
            raise BadRecord("missing field", "answer_pattern is not in the completion", "answer")
        return (matches[-1] if isinstance(matches[-1], str) else matches[-1][0]).strip()


def _complete(record: dict) -> dict:
    """The answer is the completion where there is no other."""
    return {"completion": record["answer"]} | record if "answer" in record else record


def _value(row: dict, spec, key: str):
    """The cell, or cells, that a field names; None where it is missing."""
    if isinstance(spec, tuple):  # names that a column may have
        named = [name for name in spec if name in row] or spec
        spec = next((name for name in named if row.get(name) is not None), named[0])
    if isinstance(spec, list):
        cells = [_lookup(row, name, key) for name in spec]
        return None if all(cell is None for cell in cells) else cells
    if "{" not in spec:
        return _lookup(row, spec, key)
    parts = {name: joined(_lookup(row, name, key), key) for name in IN_TEXT.findall(spec)}
    if not any(part.strip() for part in parts.values()):
        return None
    return IN_TEXT.sub(lambda match: parts[match[1]], spec).strip()  # an empty column must not show


def _has(row, spec) -> bool:
    """Whether a row has one of the columns that a field names."""
    names = spec if isinstance(spec, list | tuple) else IN_TEXT.findall(spec) or [spec]
    return isinstance(row, dict) and any(name in row or name.split(".")[0] in row for name in names)


def _lookup(row, path: str, key: str):
    if path in row:
        return plain(row[path], key)
    value = row
    for part in path.split("."):
        if value is None:
            break
        if not isinstance(value, dict) or part not in value:
            if key in OPTIONAL:
                return None
            raise BadRecord("missing field", f"no column {path!r}", key)
        value = value[part]
    return plain(value, key)
