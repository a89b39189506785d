"""A local file of JSON, an object a line, with its field names in the config.

    gsm8k: {loader: jsonl, path: data/gsm8k.jsonl, fields: {prompt: question, completion: answer},
            answer_pattern: "#### (.+)", licence: MIT}

reads {"question": "Janet's ducks lay 16 eggs ...", "answer": "Janet sells ... #### 18"} a line. Chats:

    chats: {loader: jsonl, path: data/chats.jsonl.gz, layout: messages, licence: CC0-1.0}

Bad rows are refused with file and line, or dropped and counted with ``on_bad: drop``. A file may be gzipped,
and one array of objects instead of an object a line. Paths are relative to the workflow's folder. Field
names, texts with columns and choices: corpora/mapping.py; conversations: corpora/conversations.py.
"""

from collections.abc import Iterator

from implicit_sparsity.corpora import rows
from implicit_sparsity.corpora.fields import LAYOUTS, named
from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import ON_BAD, Dropped

OPTIONS = {"on_bad": {"choices": ON_BAD}, "layout": {"choices": LAYOUTS}}


def versions() -> dict[str, str]:
    return {}


def documents(
    limit: int | None,
    seed: int,
    path: str,
    licence: str,
    fields: dict | None = None,
    on_bad: str = "refuse",
    layout: str = "lines",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed; ``layout``: lines, mapping (one object, its keys the ids) or messages."""
    fields = named(fields, layout)
    yield from table(
        of_file(path, layout), path, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def of_file(path, layout: str) -> Iterator[tuple]:
    """(place, row) of each line, of each item of an array, or of each key of one object."""
    return rows.keyed(path) if layout == "mapping" else rows.lines(path)
