"""Choices of documents that come without: planted so that shared words or length would tell the right one."""

import random

import numpy as np
import pytest
from corpora_samples import SIZES, WORDS, grouped, record

from implicit_sparsity.corpora.choice_baselines import baselines
from implicit_sparsity.corpora.distractors import with_choices
from implicit_sparsity.corpora.splits import SPLITS, Options, split


def with_quotes(n: int, of_prompt) -> list[dict]:
    """Documents whose completion has ``of_prompt(i)`` of its eight words from the prompt.

    Every prompt begins with the same twenty words.
    """
    rng, result = random.Random(1), []
    for i in range(n):
        common = WORDS[:20]
        quoted = rng.sample(common, of_prompt(i))
        words = [*quoted, *(f"x{i}y{j}" for j in range(8 - len(quoted)))]
        made = {"prompt": " ".join([*common, f"p{i}"]), "completion": " ".join(words)}
        result.append(record(i, f"g{i // 2}") | made)
    return result


def mean(records: list[dict], name: str) -> float:
    scored = [baselines(r["prompt"], r["choices"], r["correct"])[name] for r in records if "choices" in r]
    return float(np.mean(scored))


def test_choices_in_eval_alone_and_of_short_completions():
    records = grouped(random.Random(5))
    records += [record(5000 + i, f"n{i}", "natural", choices=["b", "a"], answer="a") for i in range(60)]
    result = split(records, Options(**SIZES, distractor_chars=30), "d")
    made, natural = (
        [r for r in result.documents["eval"] if (r["source"] == "natural") == given]
        for given in (False, True)
    )
    assert natural and all(r["choices"] == ["b", "a"] and r["correct"] == 1 for r in natural)
    chosen = [r for r in made if "choices" in r]
    assert len(chosen) > 1 and any(len(r["completion"]) > 30 for r in made)
    for r in chosen:
        assert len(r["completion"]) <= 30
        assert 2 <= len(set(r["choices"])) == len(r["choices"]) <= 4
        assert r["choices"][r["correct"]] == r["completion"] and "answer" not in r
    assert all(result.documents[name] for name in SPLITS[:4])
    assert not any("correct" in r for name in SPLITS[:4] for r in result.documents[name])


def test_shared_words_do_not_tell_though_they_differ():
    """With distractors drawn at random the rule would be right on nearly all that quote most."""
    records = with_quotes(400, lambda i: i % 8)
    made = with_choices(records, 3, 300, 0)
    assert sum("choices" in r for r in made) > 390
    assert 0.2 < mean(made, "overlap") < 0.4 and 0.1 < mean(made, "longest") < 0.4
    most = [r for r, given in zip(made, records) if "choices" in r and int(r["id"].split(":")[1]) % 8 == 7]
    assert mean(most, "overlap") < 0.5, "even where the right one quotes most"


def test_where_no_other_quotes_as_much_there_are_no_choices():
    records = with_quotes(30, lambda i: 8 if i == 0 else 2)
    first, *others = with_choices(records, 3, 300, 0)
    assert "choices" not in first and all(len(r["choices"]) == 4 for r in others)


def test_those_of_the_same_group_come_first():
    made = with_choices(with_quotes(60, lambda i: 3), 3, 300, 0)
    by_group = {}
    for r in made:
        by_group.setdefault(r["group"], []).append(r)
    for one, other in by_group.values():
        assert other["completion"] in one["choices"] and one["completion"] in other["choices"]


def test_open_documents_get_none_and_serve_as_none():
    records = with_quotes(40, lambda i: 3)
    records = [r | {"open": True} if i % 2 else r for i, r in enumerate(records)]
    made = with_choices(records, 3, 300, 0)
    opened = {r["completion"] for r in records if r.get("open")}
    assert not any("choices" in r for r in made if r.get("open"))
    assert not any(opened & set(r["choices"]) for r in made if "choices" in r)


BODY = "    if count < 3:\n        return count + 1\n    return count - 1"
CODE = {"prompt": 'def near(count):\n    """Neighbour of a number."""', "completion": BODY}
SUM = {"prompt": "He had 20 pens and lost 11.", "completion": "He has 20-11=9 pens\n#### 9", "answer": "9"}


@pytest.mark.parametrize("given", [CODE, SUM])
def test_what_can_be_wrong_in_one_place_is_not_mixed_with_other_documents(given):
    records = [record(i) | given | {"id": f"changed:{i}"} for i in range(2)] + with_quotes(20, lambda i: 4)
    made = with_choices(records, 3, 300, 0)[:2]
    assert all(len(r["choices"]) == 4 and r["choices"][r["correct"]] == given["completion"] for r in made)
    lengths = {abs(len(text) - len(given["completion"])) for r in made for text in r["choices"]}
    assert max(lengths) <= 1 and mean(made, "overlap") == 0.25
    assert made[0]["choices"] != made[1]["choices"], "drawn by the document's id"
    assert with_choices(records, 3, 300, 0)[:2] == made


def test_a_result_that_the_question_has_gives_no_choices():
    lost = SUM | {"prompt": "He had 20 pens and lost 11. Has he 9?"}
    assert "choices" not in with_choices([record(0) | lost], 3, 300, 0)[0]


@pytest.mark.parametrize(
    "forms",
    [
        ("positive", "positive ", "Positive"),
        ("positive", "positive.", '"positive"'),
        ("caf\u00e9", "cafe\u0301", "ＣＡＦÉ"),
        ("heart", "The heart", "the\u00a0heart."),
        ("1000", "1,000", "1000.0"),
        ("正面", "正面。", " 正面"),
    ],
)
def test_no_choice_is_another_in_another_form(forms):
    others = ("7", " 7", "neutral")
    answers = [*forms, *others] * 4
    records = [record(i, f"g{i}") | {"completion": answer} for i, answer in enumerate(answers)]
    made = with_choices(records, 3, 300, 0)
    assert all(len(r["choices"]) == 3 for r in made), "three labels: the right one and two others"
    for r in made:
        assert r["choices"][r["correct"]] == r["completion"]
        kinds = [
            next((i for i, kind in enumerate((forms, others[:2])) if c in kind), 2) for c in r["choices"]
        ]
        assert sorted(kinds) == [0, 1, 2]


def test_another_answer_to_the_same_question_is_no_wrong_choice():
    forms, fruits = ("Name a fruit.", "name a  fruit", "Name a fruit?"), ["pear", "plum", "fig"]
    twins = [record(1000 + i) | {"prompt": forms[i], "completion": fruits[i]} for i in range(3)]
    made = with_choices(twins + with_quotes(40, lambda i: 3), 3, 300, 0)[:3]
    assert all(set(r["choices"]) & set(fruits) == {r["completion"]} for r in made)
    bare = [record(i) | {"prompt": "", "completion": f"text {i}"} for i in range(9)]
    assert all(len(r["choices"]) == 4 for r in with_choices(bare, 3, 300, 0)), (
        "no question is no same question"
    )
