"""Planted questions in the original layout: subject, question, choices, answer."""

from corpora_samples import evals_row, json_lines, plant_wheel

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import medmcqa

QUESTION = "Subject: Anatomy\n\nHow many elbows\nhas a person?\n\na) None\nb) One \nc) a) Two\nd) Three"


def test_a_question_and_its_choices(monkeypatch, tmp_path):
    rows = json_lines(
        evals_row(QUESTION, "c) a) Two"), evals_row("Subject: Anatomy\n\nWhich?\n\na) b", "a) b")
    )
    plant_wheel(monkeypatch, tmp_path, "evals", {medmcqa.FILE: rows})
    dropped, made = medmcqa.documents(None, 0)
    assert dropped == Dropped("not a question with its choices")
    assert made == {
        "id": "Anatomy 0",
        "group": "Anatomy 0",
        "prompt": "How many elbows\nhas a person?",
        "completion": "a) Two",
        "choices": ["None", "One", "a) Two", "Three"],
        "answer": "a) Two",
        "licence": "MIT",
    }


def test_the_wheel_has_300_that_are_all_read():
    made = list(medmcqa.documents(None, 0))
    assert len(made) == 300 and all(record["answer"] in record["choices"] for record in made)
