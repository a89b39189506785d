"""Options by which a user names the columns of a table, checked before a row is read."""

import re
from collections.abc import Iterator

from implicit_sparsity.errors import InputError

from .conversations import COLUMNS
from .sameness import key as same

MESSAGES = "messages"
MAPPED = ("id", "group", "prompt", "completion", "choices", "answer", MESSAGES)
IN_TEXT = re.compile(r"\{([^{}]+)\}")  # a column inside a text of columns
LAYOUTS = ("lines", "mapping", MESSAGES)
QUOTES = "; in quotes where YAML reads something else (on, off, yes, no, null, a number)"


def named(fields: dict | None, layout: str, layouts: tuple = LAYOUTS) -> dict:
    """``fields``, with the column of messages where the layout asks for one that they do not name."""
    if layout not in layouts:
        raise InputError(f"{layout!r} is not one of {', '.join(layouts)}", key="layout")
    if fields is None and layout != MESSAGES:
        raise InputError("name the columns: prompt, completion or answer, ..", key="fields")
    return {MESSAGES: COLUMNS} | (fields or {}) if layout == MESSAGES else fields


def check_options(fields: dict, licence: str, choices: list | None, answer_pattern: str):
    """The compiled ``answer_pattern``, or None; InputError where an option is not what it should be."""
    _check_fields(fields)
    if not isinstance(licence, str) or not licence.strip():
        raise InputError("say under which licence the text is", key="licence")
    if choices is not None:
        _check_choices(choices, fields)
    return _compiled(answer_pattern)


def columns(fields: dict, names: list[str], path) -> Iterator[str]:
    """The columns of a table, or paths into them, that ``fields`` name; InputError where it has them not."""
    for key, spec in fields.items():
        if isinstance(spec, tuple):
            spec = [name for name in spec if name in names] or [spec[0]]
        for column in [spec] if isinstance(spec, str) and "{" not in spec else _inside(spec):
            top = column if column in names else column.split(".")[0]
            if names.count(top) != 1:
                words = f"has no column {column!r} (it has: {', '.join(names)[:200]})"
                words = f"has the column {top!r} {names.count(top)} times" if top in names else words
                raise InputError(words, path, key=f"fields.{key}")
            yield column


def _inside(spec) -> list[str]:
    return spec if isinstance(spec, list) else IN_TEXT.findall(spec)


def _check_fields(fields):
    if not isinstance(fields, dict):
        raise InputError(f"must be a mapping of fields to columns, found {_shown(fields)}", key="fields")
    if unknown := sorted(map(str, set(fields) - set(MAPPED))):
        raise InputError(f"no such field (there are: {', '.join(MAPPED)})", key=f"fields.{unknown[0]}")
    for key, spec in fields.items():
        many = isinstance(spec, tuple) or (key == "choices" and isinstance(spec, list) and spec)
        for name in spec if many else [spec]:
            if not isinstance(name, str) or not name:
                words = f"must be a column, or a text with {{columns}}, found {_shown(name)}{QUOTES}"
                raise InputError(words, key=f"fields.{key}")
            if "{" in name and not IN_TEXT.search(name):
                raise InputError(f"a text without a {{column}}: {name[:60]!r}", key=f"fields.{key}")
    if MESSAGES in fields:
        if twice := sorted({"prompt", "completion"} & set(fields)):
            raise InputError("comes from the messages", key=f"fields.{twice[0]}")
    elif not {"completion", "answer"} & set(fields):
        raise InputError("name the column of the completion, or of the answer", key="fields")


def _check_choices(choices, fields: dict):
    if not isinstance(choices, list | tuple) or len(choices) < 2:
        raise InputError(f"must be two texts or more, found {_shown(choices)}", key="choices")
    if wrong := [choice for choice in choices if not isinstance(choice, str) or not choice.strip()]:
        raise InputError(f"must be texts, found {_shown(wrong[0])}{QUOTES}", key="choices")
    if len(set(map(same, choices))) < len(choices):
        raise InputError("has a text twice", key="choices")
    if "choices" in fields:
        raise InputError("either a column, or the same for all rows: not both", key="fields.choices")


def _compiled(pattern):
    if not isinstance(pattern, str):
        raise InputError(f"must be a text, found {_shown(pattern)}", key="answer_pattern")
    try:
        compiled = re.compile(pattern) if pattern else None
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"not a regular expression: {error}", key="answer_pattern") from None
    if compiled and not compiled.groups:
        raise InputError("needs a group in parentheses", key="answer_pattern")
    return compiled


def _shown(value) -> str:
    """A value as YAML has it."""
    words = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return words or ("null" if value is None else repr(value)[:60])
