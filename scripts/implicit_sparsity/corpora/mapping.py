"""Rows of a user's table -> records, by the field names given in the config.

    fields: {prompt: question, completion: answer, group: subject}      a column, or a dotted path into it
    fields: {prompt: "{CONTEXTS}\nQuestion: {QUESTION}", ...}           a text with columns; lists go on lines
    fields: {choices: [opa, opb, opc, opd], answer: cop}                columns, or one list column

``answer`` may be the choice itself, its index (0 for the first) or its letter (A). Without ``completion`` the
answer is the completion; without ``prompt`` the text is the completion alone; without ``id`` the place in the
file is the id; without ``group`` every document is its own.
"""

import re
from collections.abc import Iterable, Iterator

from implicit_sparsity.errors import InputError

from .records import BadRecord, Dropped, Limits, checked
from .sampling import sample, within

MAPPED = ("id", "group", "prompt", "completion", "choices", "answer")


def table(
    rows: Iterable, path, fields: dict, licence: str, limit=None, seed=0, on_bad="refuse",
    choices: list | None = None, answer_pattern: str = "", max_chars: int | None = None,
) -> Iterator[dict | Dropped]:  # fmt: skip
    """Records of (place, row or BadRecord) pairs, ``limit`` of them drawn by seed.

    ``choices`` are the same for every row (yes, no, maybe). ``answer_pattern``: a regular expression whose
    first group, found last in the completion, is the answer (GSM8K: ``#### (.+)``). Raises InputError for
    wrong options and, under ``on_bad="refuse"``, for the first bad row.
    """
    _check_options(fields, licence)
    pattern = _compile(answer_pattern)

    def mapped() -> Iterator[tuple]:
        for place, row in rows:
            try:
                if isinstance(row, BadRecord):
                    raise row
                yield place, _record(row, place, fields, licence, choices, pattern)
            except BadRecord as bad:
                yield place, bad

    records = checked(mapped(), path, Limits(), on_bad)
    yield from sample(within(records, max_chars), limit, seed)


def _check_options(fields: dict, licence: str):
    if unknown := sorted(set(fields) - set(MAPPED)):
        raise InputError(f"no such field (there are: {', '.join(MAPPED)})", key=f"fields.{unknown[0]}")
    if not {"completion", "answer"} & set(fields):
        raise InputError("name the column of the completion, or of the answer", key="fields")
    if not licence.strip():
        raise InputError("say under which licence the text is", key="licence")


def _compile(pattern: str):
    try:
        compiled = re.compile(pattern) if pattern else None
    except re.error as error:
        raise InputError(f"not a regular expression: {error}", key="answer_pattern") from None
    if compiled and not compiled.groups:
        raise InputError("needs a group in parentheses", key="answer_pattern")
    return compiled


def _record(row, place, fields: dict, licence: str, choices, pattern) -> dict:
    if not isinstance(row, dict):
        raise BadRecord("wrong type", f"a row is a JSON object, found {type(row).__name__}")
    record = {"source": "-", "licence": licence, "prompt": ""}
    record |= {key: _value(row, fields[key], key) for key in MAPPED if key in fields}
    if isinstance(record["prompt"], str) and "prompt" in fields and not record["prompt"].strip():
        raise BadRecord("empty text", "is empty", "prompt")
    record["id"] = _name(record.get("id", place), "id")
    record["group"] = _name(record.get("group", record["id"]), "group")
    if choices is not None:
        record["choices"] = list(choices)
    if pattern and isinstance(record.get("completion"), str):
        matches = pattern.findall(record["completion"])
        if not matches:
            raise BadRecord("missing field", "answer_pattern is not in the completion", "answer")
        record["answer"] = (matches[-1] if isinstance(matches[-1], str) else matches[-1][0]).strip()
    if "answer" in record:
        record["answer"] = _answer(record["answer"], record.get("choices"))
    record.setdefault("completion", record.get("answer"))
    return record


def _value(row: dict, spec, key: str):
    if isinstance(spec, list):
        return [_lookup(row, name, key) for name in spec]
    if "{" not in spec:
        return _lookup(row, spec, key)
    text = re.sub(r"\{([^{}]+)\}", lambda match: _lines(_lookup(row, match[1], key), key), spec)
    return text.strip()  # an empty column must not show in the format


def _lookup(row, path: str, key: str):
    if path in row:
        return row[path]
    value = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            raise BadRecord("missing field", f"no column {path!r}", key)
        value = value[part]
    return value


def _lines(value, key: str) -> str:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in values):
        raise BadRecord("wrong type", f"cannot put {type(value).__name__} into a text", key)
    return "\n".join(map(str, values))


def _name(value, key: str) -> str:
    """Ids and groups may be numbers in the user's table."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRecord("wrong type", f"must be a text or a whole number, found {type(value).__name__}", key)
    return str(value)


def _answer(value, choices) -> object:
    """The answer as a text: itself, or by index or letter; what is neither is left for the check."""
    if not isinstance(choices, list):
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        return f"{value:g}" if whole and float(value).is_integer() and abs(value) < 1e6 else (
            str(value) if whole else value
        )  # fmt: skip
    if isinstance(value, str) and value not in choices and re.fullmatch("[A-Z]", value):
        value = ord(value) - ord("A")
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(choices):
            raise BadRecord("answer not in choices", f"index {value} of {len(choices)} choices", "answer")
        return choices[value]
    return value
