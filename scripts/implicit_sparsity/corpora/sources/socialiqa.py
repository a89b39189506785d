"""Social IQa: what people want, feel and do next in everyday situations, with three choices (Sap 2019).

    id          "500"                        group  "Aubrey pulled open the drawer to get the tape ..."
    prompt      "Aubrey pulled open the drawer to get the tape and scissors. What does Aubrey need to ..."
    completion  "organize the newspaper clippings"       choices  that, "go to bed", "take gloves"

The 2,224 test questions that openai/evals has, read from its wheel (wheels.py); its licence gives this set as
CC BY 4.0. The group is the situation. A person answers most of them (more than four of five in the paper,
arXiv 1904.09728); people wrote the choices, and one wrong one in five is awkward.
"""

import json
import re
from collections.abc import Iterator

from implicit_sparsity.corpora import wheels
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

PACKAGE = "evals"
FILE = "evals/registry/data/theory_of_mind/socialiqa/test.jsonl"
LICENCE = "CC BY 4.0"
QUESTION = re.compile(r"(.+?) A: (.+?); B: (.+?); C: (.+)\.", re.S)
LAST_SENTENCE = re.compile(r"(?<=[.!?])\s+[^.!?]+\?$")


def versions() -> dict[str, str]:
    return {PACKAGE: wheels.version(PACKAGE)}


def documents(limit: int | None, seed: int, max_chars: int | None = None) -> Iterator[dict | Dropped]:
    """The questions, choices in their own order."""
    records = (_record(number, json.loads(line)) for number, line in enumerate(wheels.lines(PACKAGE, FILE)))
    yield from sample(within(records, max_chars), limit, seed)


def _record(number: int, row: dict) -> dict | Dropped:
    parts = QUESTION.fullmatch(row["input"][-1]["content"])
    if parts is None:
        return Dropped("not a question with three choices")
    question, *choices = (part.strip() for part in parts.groups())
    answer = choices["ABC".index(row["ideal"])]
    return {
        "id": str(number),
        "group": LAST_SENTENCE.sub("", question),
        "prompt": question,
        "completion": answer,
        "choices": choices,
        "answer": answer,
        "licence": LICENCE,
    }
