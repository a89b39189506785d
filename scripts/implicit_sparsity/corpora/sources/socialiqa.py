"""Social IQa: what people want, feel and do next in everyday situations, with three choices (Sap 2019).

    id          "500"                        group  "Aubrey pulled open the drawer to get the tape ..."
    prompt      "Aubrey pulled open the drawer to get the tape and scissors. What does Aubrey need to ..."
    completion  "organize the newspaper clippings"       choices  that, "go to bed", "take gloves"

The 2,224 test questions that openai/evals has, read from its wheel (wheels.py); its licence gives this set as
CC BY 4.0. The group is the situation. A person answers most of them (more than four of five in the paper,
arXiv 1904.09728); people wrote the choices, and one wrong one in five is awkward.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora import evals_questions
from implicit_sparsity.corpora.records import Dropped

FILE = "evals/registry/data/theory_of_mind/socialiqa/test.jsonl"
LICENCE = "CC BY 4.0"
QUESTION = re.compile(r"(.+?) A: (.+?); B: (.+?); C: (.+)\.", re.S)
LAST_SENTENCE = re.compile(r"(?<=[.!?])\s+[^.!?]+\?$")


def versions() -> dict[str, str]:
    return evals_questions.versions()


def documents(limit: int | None, seed: int, max_chars: int | None = None) -> Iterator[dict | Dropped]:
    """The questions, choices in their own order."""
    return evals_questions.documents(FILE, QUESTION, _record, limit, seed, max_chars)


def _record(number: int, row: dict, question: str, *choices: str) -> dict:
    answer, situation = choices["ABC".index(row["ideal"])], LAST_SENTENCE.sub("", question)
    return evals_questions.question(str(number), question, choices, answer, LICENCE, situation)
