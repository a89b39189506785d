"""Answers by text, letter or index: what one row leaves open, the source's other rows decide."""

import pytest

from implicit_sparsity.corpora.answers import Answers, Both
from implicit_sparsity.corpora.bad import BadRecord

BLOOD, FOUR, DIGITS = ["B", "O", "A", "AB"], ["one", "two", "three", "four"], ["4", "8", "6", "2"]


def read(*rows) -> list:
    """What becomes of (answer, choices) of one source: a text, or the reason why it is bad."""
    answers, found = Answers(), []
    for value, choices in rows:
        try:
            found.append(answers.read(value, choices))
        except BadRecord as bad:
            found.append(bad.reason)
    for i, one in enumerate(found):
        if isinstance(one, Both):
            try:
                found[i] = answers.settle(one)
            except BadRecord as bad:
                found[i] = bad.reason
    return found


AMBIGUOUS, NONE = "ambiguous answer", "answer not in choices"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("B", BLOOD), ("C", FOUR)], ["O", "three"]),  # the others give letters
        ([("B", BLOOD), ("two", FOUR)], ["B", "two"]),  # the others give texts
        ([("b", BLOOD), ("two", FOUR)], ["B", "two"]),  # a choice in any case
        ([("B", BLOOD)], [AMBIGUOUS]),
        ([("B", BLOOD), ("C", FOUR), ("two", FOUR)], [AMBIGUOUS, "three", "two"]),
        ([("B", ["A", "B", "C", "D"])], ["B"]),  # both readings agree
        ([("C", DIGITS)], ["6"]),
        ([(2, FOUR), (2, DIGITS)], ["three", "6"]),
        ([(8, DIGITS), (2, DIGITS)], ["8", "2"]),  # 8 is no index: they are the choices
        ([(2.0, FOUR), (3, FOUR)], ["three", "four"]),
        ([(2, DIGITS)], [AMBIGUOUS]),
        ([("2", FOUR)], [NONE]),  # from 0, or from 1?
        ([("2", FOUR), ("2", DIGITS)], [NONE, AMBIGUOUS]),
        ([("A", FOUR), ("2", DIGITS)], ["one", AMBIGUOUS]),
        ([("8", DIGITS), ("2", DIGITS)], ["8", "2"]),
        ([("1", ["0", "1"]), ("2", ["1", "2", "3"])], ["1", "2"]),  # the places are the numbers
        ([("E", FOUR), (4, FOUR), (-1, FOUR), (1.5, FOUR)], [NONE] * 4),
        ([(1, FOUR[:3]), (2, FOUR[:3]), (3, FOUR[:3])], [AMBIGUOUS, AMBIGUOUS, NONE]),  # from 1?
        ([(1.0, FOUR), (4.0, FOUR), (2, DIGITS)], [AMBIGUOUS, NONE, AMBIGUOUS]),
        ([(1, FOUR), (3, ["x", "y", "z", None])], [AMBIGUOUS, NONE]),
        ([(1, FOUR), (4, FOUR), (0, FOUR)], ["two", NONE, "one"]),  # from 0
        ([(1, FOUR), (99, FOUR), (-1, FOUR)], ["two", NONE, NONE]),
        ([(1, FOUR), (4, FOUR), ("C", FOUR)], [AMBIGUOUS, NONE, "three"]),  # letters are what they are
        ([("D", ["x", "y", "z", None]), ("C", ["x", None, "z"])], [NONE, "z"]),
        ([(True, FOUR), ([1], FOUR), ({}, FOUR)], ["wrong type"] * 3),
        ([(3.0, None), ("B", None), (True, None)], ["3", "B", True]),  # of no choices: as it is
    ],
)
def test_answers_of_a_source(rows, expected):
    assert read(*rows) == expected
    assert sorted(map(str, read(*reversed(rows)))) == sorted(map(str, expected)), "in any order of the rows"


def test_an_ambiguous_answer_says_both_readings():
    answers = Answers()
    with pytest.raises(BadRecord, match=r"^'B' is one of the choices, and the place of 'O'$"):
        answers.settle(answers.read("B", BLOOD))
