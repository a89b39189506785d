"""Word problems from templates: how many of each, which template is left out, what a solution ends in."""

from collections import Counter

import pytest

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import gsm_symbolic
from implicit_sparsity.errors import InputError


def documents(limit, seed=1, **options):
    items = list(gsm_symbolic.documents(limit, seed, **options))
    return [item for item in items if not isinstance(item, Dropped)], Counter(
        item.reason for item in items if isinstance(item, Dropped)
    )


def test_the_last_line_is_the_answer_and_the_advice_is_cut_off():
    problem = {
        "question": "How many are left?" + gsm_symbolic.ADVICE,
        "answer": "36",
        "metadata": {"answer_cot": "40 - 4 = 36 are left\n#### 36.0"},
    }
    assert gsm_symbolic._record(problem, 17, 71) == {
        "id": "17",
        "group": "template 71",
        "prompt": "How many are left?",
        "completion": "40 - 4 = 36 are left\n#### 36",
        "answer": "36",
        "licence": "Apache-2.0",
    }


def test_no_template_has_more_than_its_share_nor_is_a_question_asked_twice():
    two, _ = documents(60, per_template=2)
    used = Counter(record["group"] for record in two)
    assert len(two) == 60 and max(used.values()) == 2 and len(used) >= 30
    plain, _ = documents(60)
    assert max(Counter(record["group"] for record in plain).values()) > 2, "else nothing was held back"
    for records in (two, plain):
        assert len({record["prompt"] for record in records}) == 60
        assert not {f"template {number}" for number in gsm_symbolic.WRONG} & {r["group"] for r in records}


def test_long_problems_are_left_out_and_counted():
    short, dropped = documents(10, max_chars=500)
    assert len(short) == 10 and dropped["over max_chars"] > 0
    assert max(len(record["prompt"]) + len(record["completion"]) for record in short) <= 500


def test_a_generator_has_no_end():
    with pytest.raises(InputError, match=r"^limit: a generator has no end: give a limit$"):
        documents(None)
