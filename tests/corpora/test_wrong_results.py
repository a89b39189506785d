"""Results changed by one digit wherever they stand; what is no worked solution."""

import pytest

from implicit_sparsity.corpora.wrong_results import wrong_results


def changed(completion, answer):
    return wrong_results({"completion": completion, "answer": answer})


def test_the_result_is_changed_where_it_stands_alone():
    made = changed("90-20=70, not 170, 7.70 or 70.5. So 70.\n#### 70", "70")
    assert "90-20=80, not 170, 7.70 or 70.5. So 80.\n#### 80" in made
    assert "90-20=71, not 170, 7.70 or 70.5. So 71.\n#### 71" in made
    assert len(made) == len(set(made)) == 8 + 9, "the first digit has no 0"


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ("5", set("12346789")),
        ("-5", {f"-{digit}" for digit in "12346789"}),
        ("x+1", {f"x+{digit}" for digit in "23456789"}),
        ("n!", set()),
    ],
)
def test_answers_of_other_forms(answer, wrong):
    assert set(changed(f"So\n#### {answer}", answer)) == {f"So\n#### {text}" for text in wrong}


@pytest.mark.parametrize("record", [{"completion": "It is 5."}, {"completion": "Paris", "answer": "Paris"}])
def test_what_does_not_end_in_its_answer_is_left_alone(record):
    assert wrong_results(record) is None
