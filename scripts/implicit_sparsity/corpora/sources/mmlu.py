"""MMLU: examination questions of 57 subjects with four choices (Hendrycks et al. 2021, arXiv 2009.03300).

    id, group   "world religions 1" (topic and place among the questions, which are unrelated)
    prompt      "Which are the synoptic Gospels?"
    completion  "Matthew, Mark, Luke"        choices  "Peter, John, Mark", "Matthew, Mark, John", that, ...

The sample that openai/evals has, read from its wheel (wheels.py); its licence gives this set as MIT. Of 1,188
questions 200 name their topic. By default the set is meant for a reference that is never trained: those
without a topic, and topics akin to code, mathematics and medicine, are left out.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora import evals_questions
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sampling import sample, within

FOLDER = "evals/registry/data/sandbagging"
FILES = ("samples-all.jsonl", "samples-all-large.jsonl")  # with topics, without
LICENCE = "MIT"
QUESTION = re.compile(r"(.+)\nA\. (.+)\nB\. (.+)\nC\. (.+)\nD\. (.+)\nAnswer:", re.S)
AKIN = re.compile(
    r"math|algebra|statistics|logic|comput|machine learning|econometrics|medic|clinical|anatomy|virology"
    r"|genetics|biology|nutrition|aging|sexuality"
)


def versions() -> dict[str, str]:
    return evals_questions.versions()


def documents(
    limit: int | None, seed: int, unrelated: bool = True, max_chars: int | None = None
) -> Iterator[dict | Dropped]:
    """The questions, choices in their own order; with ``unrelated`` only those whose topic is named and far
    from code, mathematics and medicine."""
    rows = evals_questions.rows(*(f"{FOLDER}/{name}" for name in FILES))
    yield from sample(within(_records(rows, unrelated), max_chars), limit, seed)


def _records(rows: Iterator[dict], unrelated: bool) -> Iterator[dict | Dropped]:
    seen: set[str] = set()
    for number, row in enumerate(rows):
        parts, topic = QUESTION.fullmatch(row["question"]), row.get("topic", "")
        if parts is None:
            yield evals_questions.DROPPED
        elif row["question"].strip() in seen:
            yield Dropped("repeated question")
        elif unrelated and (not topic or AKIN.search(topic)):
            yield Dropped("topic not named, or akin to a domain")
        else:
            seen.add(row["question"].strip())
            yield _record(f"{topic or 'no topic'} {number}", row["answer"], *parts.groups())


def _record(name: str, letter: str, question: str, *choices: str) -> dict:
    choices = [choice.strip() for choice in choices]
    answer = choices["ABCD".index(letter)]
    return evals_questions.question(name, question.strip(), choices, answer, LICENCE)
