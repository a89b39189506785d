"""Multiple-choice questions that openai/evals has, read from its wheel (wheels.py).

A sample is a JSON object on a line of its own. Its question and choices are one text, laid out as its data
set has it.
"""

import re
from collections.abc import Callable, Iterator

from . import wheels
from .records import Dropped
from .sampling import sample, within
from .strict_json import value

PACKAGE = "evals"
DROPPED = Dropped("not a question with its choices")


def versions() -> dict[str, str]:
    return {PACKAGE: wheels.version(PACKAGE)}


def rows(*files: str) -> Iterator[dict]:
    """The samples of files of the wheel, one file after another."""
    return (value(line.encode(), file) for file in files for line in wheels.lines(PACKAGE, file))


def documents(
    file: str, layout: re.Pattern, record: Callable, limit: int | None, seed: int, max_chars: int | None
) -> Iterator[dict | Dropped]:
    """The questions of a file, drawn by seed as a loader's ``documents`` are.

    record: ``(number, row, *parts)`` to a record; parts are the groups of ``layout`` in the sample's last
    message, stripped. A sample of another layout is Dropped.
    """

    def records() -> Iterator[dict | Dropped]:
        for number, row in enumerate(rows(file)):
            parts = layout.fullmatch(row["input"][-1]["content"])
            yield record(number, row, *map(str.strip, parts.groups())) if parts else DROPPED

    yield from sample(within(records(), max_chars), limit, seed)


def question(name: str, prompt: str, choices, answer: str, licence: str, group: str | None = None) -> dict:
    """A record of that id, whose completion is the answer; without a ``group`` it is one of its own."""
    return {
        "id": name,
        "group": group or name,
        "prompt": prompt,
        "completion": answer,
        "choices": list(choices),
        "answer": answer,
        "licence": licence,
    }
