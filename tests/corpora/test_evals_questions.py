"""Samples of planted wheels: several files as one, what has another layout, and records drawn by seed."""

import re

from corpora_samples import evals_row, json_lines, plant_wheel

from implicit_sparsity.corpora import evals_questions
from implicit_sparsity.corpora.records import Dropped, check

LAYOUT = re.compile(r"(.+)\? A (.+) B (.+)")


def record(number, row, prompt, *choices):
    return evals_questions.question(f"q{number}", prompt, choices, choices[row["ideal"]], "MIT")


def documents(limit=None, seed=0, max_chars=None):
    return list(evals_questions.documents("q.jsonl", LAYOUT, record, limit, seed, max_chars))


def test_what_has_another_layout_or_is_too_long_is_dropped(monkeypatch, tmp_path):
    text = json_lines(
        evals_row("What?", 1), evals_row("Which ? A one  B two ", 1), evals_row("Which long one? A 1 B 2", 1)
    )
    plant_wheel(monkeypatch, tmp_path, "evals", {"q.jsonl": text})
    other, long, made = documents(max_chars=9)
    assert (other, long) == (evals_questions.DROPPED, Dropped("over max_chars"))
    assert made["id"] == made["group"] == "q1" and made["prompt"] == "Which"
    assert made["choices"] == ["one", "two"] and made["answer"] == made["completion"] == "two"
    assert check(made | {"source": "planted"})
    assert evals_questions.versions() == {"evals": "1"}


def test_fewer_are_the_first_of_the_same_order(monkeypatch, tmp_path):
    text = json_lines(*(evals_row(f"Number {i}? A no B yes", 1) for i in range(20)))
    plant_wheel(monkeypatch, tmp_path, "evals", {"q.jsonl": text})
    whole = documents()
    assert documents(limit=5) == whole[:5] and len(whole) == 20
    assert [made["id"] for made in whole] != [made["id"] for made in documents(seed=1)]


def test_files_come_one_after_another(monkeypatch, tmp_path):
    files = {name: json_lines({"n": name}, {"n": name}) for name in ("b", "a")}
    plant_wheel(monkeypatch, tmp_path, "evals", files)
    assert [row["n"] for row in evals_questions.rows("b", "a")] == ["b", "b", "a", "a"]


def test_a_group_may_be_wider_than_a_question():
    made = evals_questions.question("7", "Why?", ("so", "no"), "so", "MIT", "a situation")
    assert made["id"] == "7" and made["group"] == "a situation"
