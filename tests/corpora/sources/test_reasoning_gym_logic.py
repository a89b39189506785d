"""Puzzles of logic: what follows, by hand; forms in which names and nouns are nothing."""

import pytest

from implicit_sparsity.corpora.sources import reasoning_gym_logic as loader
from implicit_sparsity.corpora.sources.reasoning_gym_logic import _follows
from implicit_sparsity.errors import InputError


def test_syllogisms_by_hand():
    barbara = (("All", 0, False, 1), ("All", 1, False, 2), ("All", 0, False, 2))
    undistributed = (("All", 0, False, 1), ("All", 2, False, 1), ("Some", 0, False, 2))
    two_negatives = (("No", 0, False, 1), ("No", 1, False, 2), ("Some", 0, True, 2))
    darapti = (("All", 1, False, 0), ("All", 1, False, 2), ("Some", 0, False, 2))  # needs a B to exist
    assert [_follows(form) for form in (barbara, undistributed, two_negatives, darapti)] == [
        True, False, False, True,
    ]  # fmt: skip


def syllogism(*statements, answer):
    keys = ("premise1", "premise2", "conclusion")
    return loader._syllogism({"answer": answer, "metadata": dict(zip(keys, statements))})


@pytest.mark.parametrize(("answer", "right"), [("Yes", False), ("No", True)])
def test_the_form_of_a_syllogism_has_letters_for_nouns(answer, right):
    statements = "All cats are dogs", "Some dogs are not birds", "No birds are cats"
    form, is_right, choices = syllogism(*statements, answer=answer)
    assert form == "All A are B; Some B are not C; No C are A"
    assert (is_right, choices) == (right, ["Yes", "No"])
    assert syllogism(*(s.replace("cats", "foxes") for s in statements), answer=answer)[0] == form


def test_the_form_of_a_family_has_numbers_for_names():
    question = (
        "John is married to Isabella. They have a child called Edward. Edward is married to Victoria.\n\n"
        "What is {} to John? Respond only with the word that describes their relationship."
    )

    def family(name, answer):
        return loader._family({"question": question.format(name), "answer": answer})

    form, right, choices = family("Isabella", "wife")
    assert form == "P0 is married to P1. They have a P2. P2 is married to P3. What is P1 to P0?"
    assert right and choices == list(loader.RELATIONS)
    assert family("Edward", "son")[0] != form
    assert not family("Victoria", "daughter-in-law")[1], "from the wrong side"


def test_the_choices_of_knights_are_every_assignment():
    terms = {"a_knight": "an angel", "a_knave": "a devil"}
    metadata = {"knight_knave_terms": terms, "names": ["Zoe", "Ann"], "statements": (("telling-truth", 1),)}
    answer = "Zoe is an angel, and Ann is a devil."
    form, right, choices = loader._knights({"metadata": metadata, "answer": answer})
    assert form == "(('telling-truth', 1),)" and right and len(set(choices)) == 4 and answer in choices
    assert "Zoe is a devil, and Ann is a devil." in choices
    assert not loader._knights({"metadata": metadata, "answer": "Zoe is an angel."})[1]


def test_choices_are_the_right_one_and_some_wrong_ones_shuffled_by_seed():
    puzzle = {"answer": " wife ", "question": " Who? "}
    places = set()
    for seed in range(30):
        made = loader._record("family_relationships", 5, puzzle, "f", seed, list(loader.RELATIONS), 4)
        assert len(set(made["choices"])) == 4 and made["answer"] == made["completion"] == "wife"
        places.add(made["choices"].index("wife"))
    assert places == {0, 1, 2, 3}
    assert (made["id"], made["group"]) == ("family_relationships 5", "family_relationships: f")
    two = loader._record("family_relationships", 5, puzzle, "f", 0, list(loader.RELATIONS), 1)
    assert len(two["choices"]) == 2, "one choice is no choice"


def test_tasks_take_turns_until_there_are_enough():
    items = list(loader.documents(5, 3, ["syllogism", "knights_knaves"]))
    records = [item for item in items if isinstance(item, dict)]
    assert len(records) == 5 and items[-1] is records[-1]
    assert {record["group"].partition(":")[0] for record in records} == {"syllogism", "knights_knaves"}


@pytest.mark.parametrize(
    ("limit", "options", "message"),
    [
        (None, {}, "^limit: a generator has no end: give a limit$"),
        (3, {"tasks": []}, r"^tasks: no task 'none' \(there are: syllogism, family_relationships, knights"),
        (3, {"tasks": ["syllogism", "zebra"]}, "^tasks: no task 'zebra'"),
    ],
)
def test_wrong_options(limit, options, message):
    with pytest.raises(InputError, match=message):
        list(loader.documents(limit, 0, **options))
