"""MedMCQA: questions of Indian medical entrance examinations with four choices (Pal et al. 2022).

    id, group   "Biochemistry 1" (subject and place in the file; questions are unrelated)
    prompt      "Which vitamin is supplied from only animal source:"
    completion  "Vitamin B12"                choices  "Vitamin C", "Vitamin B7", "Vitamin B12", "Vitamin D"

The 300 questions that openai/evals has, read from its wheel (wheels.py): MIT, as are all its data that its
licence does not list apart. The distractors are the examiners'. In 18 items the letters "rt" are lost
("Hyperophy" for "Hypertrophy"): left as they are. A physician could answer; "all of these except" stands in
some questions, which choices can be scored on, and nothing else.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora import evals_questions
from implicit_sparsity.corpora.records import Dropped

FILE = "evals/registry/data/medmcqa/samples.jsonl"
LICENCE = "MIT"
QUESTION = re.compile(r"Subject: (.+?)\n\n(.+?)\n\na\) (.+)\nb\) (.+)\nc\) (.+)\nd\) (.+)", re.S)


def versions() -> dict[str, str]:
    return evals_questions.versions()


def documents(limit: int | None, seed: int, max_chars: int | None = None) -> Iterator[dict | Dropped]:
    """The questions, choices in their own order."""
    return evals_questions.documents(FILE, QUESTION, _record, limit, seed, max_chars)


def _record(number: int, row: dict, subject: str, question: str, *choices: str) -> dict:
    answer = row["ideal"].partition(") ")[2].strip()
    return evals_questions.question(f"{subject} {number}", question, choices, answer, LICENCE)
