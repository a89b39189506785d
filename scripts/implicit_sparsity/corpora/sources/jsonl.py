"""A local JSON Lines file (or one JSON object keyed by id), with its field names in the config.

    gsm8k: {loader: jsonl, path: data/gsm8k.jsonl, fields: {prompt: question, completion: answer},
            answer_pattern: "#### (.+)", licence: MIT}

reads {"question": "Janet's ducks lay 16 eggs ...", "answer": "Janet sells ... #### 18"} a line. Bad lines are
refused with file and line, or dropped and counted with ``on_bad: drop``. Paths are relative to the workflow's
folder. Field names, texts with columns and choices: corpora/mapping.py.
"""

from collections.abc import Iterator

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped, json_lines
from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json


def versions() -> dict[str, str]:
    return {}


def documents(
    limit: int | None,
    seed: int,
    path: str,
    fields: dict,
    licence: str,
    on_bad: str = "refuse",
    layout: str = "lines",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed; ``layout`` is ``lines`` or ``mapping`` (one object, its keys the ids)."""
    yield from table(
        rows(path, layout), path, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def rows(path, layout: str) -> Iterator[tuple]:
    """(place, row) of each line, or (key, row) of one object."""
    if layout not in ("lines", "mapping"):
        raise InputError(f"{layout!r} is not one of lines, mapping", key="layout")
    return json_lines(path) if layout == "lines" else _mapping(path)


def _mapping(path) -> Iterator[tuple]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"must be one JSON object keyed by id, found {type(value).__name__}", path)
    yield from value.items()
