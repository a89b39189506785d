"""Planted questions in the original layout: the situation is the group."""

from corpora_samples import evals_row, json_lines, plant_wheel

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import socialiqa

SITUATION = "Ann dropped Dr. Lee's cup. It broke!"


def test_a_situation_a_question_and_three_choices(monkeypatch, tmp_path):
    rows = [
        evals_row(f"{SITUATION} Why did Ann do this? A: she slipped; B: to hear it; yes; C: a. b.", "B"),
        evals_row(f"{SITUATION} How would Lee feel? A: sad; B: glad; C: tall.", "A"),
        evals_row("Ann sat. Why? A: to rest; B: to run.", "A"),
    ]
    plant_wheel(monkeypatch, tmp_path, "evals", {socialiqa.FILE: json_lines(*rows)})
    dropped, *made = socialiqa.documents(None, 0)
    first, second = sorted(made, key=lambda record: record["id"])
    assert dropped == Dropped("not a question with its choices")
    assert first["choices"] == ["she slipped", "to hear it; yes", "a. b"]
    assert first["answer"] == first["completion"] == "to hear it; yes"
    assert first["prompt"] == f"{SITUATION} Why did Ann do this?"
    assert first["group"] == second["group"] == SITUATION and second["answer"] == "sad"


def test_the_wheel_has_2224_that_are_all_read():
    made = list(socialiqa.documents(None, 0))
    assert len(made) == 2224 and {len(record["choices"]) for record in made} == {3}
    assert len({record["group"] for record in made}) > 2000
