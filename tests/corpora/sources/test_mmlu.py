"""Planted questions in the original layout: which topics are taken for a reference, letters as choices."""

from corpora_samples import json_lines, plant_wheel

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import mmlu

CHOICES = "\nA. one\nB. two\nC. three \nD. A. four\nAnswer:"


def row(question, answer="A", **more):
    return more | {"question": question + CHOICES, "answer": answer}


def planted(monkeypatch, tmp_path, **options):
    with_topics = json_lines(
        row("Which\nking?", "D", topic="prehistory"), row("What sum?", topic="abstract algebra")
    )
    without = json_lines(row("Which\nking?", "D"), row("Who?", "B"), {"question": "None?", "answer": "A"})
    files = {f"{mmlu.FOLDER}/{name}": text for name, text in zip(mmlu.FILES, (with_topics, without))}
    plant_wheel(monkeypatch, tmp_path, "evals", files)
    items = list(mmlu.documents(None, 0, **options))
    return [i for i in items if isinstance(i, dict)], [i for i in items if isinstance(i, Dropped)]


def test_a_reference_is_far_from_the_domains(monkeypatch, tmp_path):
    (made,), dropped = planted(monkeypatch, tmp_path)
    assert made["choices"] == ["one", "two", "three", "A. four"] and made["answer"] == "A. four"
    assert made["prompt"] == "Which\nking?" and made["group"] == "prehistory 0"
    reasons = sorted(item.reason for item in dropped)
    assert reasons == [
        "not a question with its choices",
        "repeated question",
        *["topic not named, or akin to a domain"] * 2,
    ]


def test_all_topics_can_be_asked_for(monkeypatch, tmp_path):
    made, dropped = planted(monkeypatch, tmp_path, unrelated=False)
    assert {r["prompt"]: r["answer"] for r in made} == {
        "Which\nking?": "A. four",
        "What sum?": "one",
        "Who?": "two",
    }
    assert len(dropped) == 2


def test_the_wheel_has_a_thousand_that_are_all_read():
    made = list(mmlu.documents(None, 0, unrelated=False))
    assert sum(isinstance(item, dict) for item in made) > 1000
    assert {item.reason for item in made if isinstance(item, Dropped)} == {"repeated question"}
