"""Options that have to go together: each rule broken by one, and kept at its edge."""

import pytest

from implicit_sparsity.option_relations import conflicts, listed

VALUES = {
    "dim": 32,
    "rank": 8,
    "levels": [0.5, 0.9],
    "cross": [0.5],
    "a": 2,
    "b": 3,
    "less": 5,
    "form": "loose",
}
RULES = {
    "MULTIPLES": {"dim": "rank"},
    "AMONG": {"cross": "levels"},
    "AT_MOST": {"a": "b"},
    "BELOW": {"less": ("a", "b")},
    "ONLY": {"rank": {"form": {"tight": (8, 16)}}},
}


@pytest.mark.parametrize(
    "changes, broken",
    [
        ({}, []),
        ({"dim": 8, "a": 3, "less": 8, "form": "tight"}, []),
        ({"dim": [16, 24]}, []),
        ({"dim": 20}, [("dim", "a multiple of rank (8)")]),
        ({"dim": [16, 20]}, [("dim", "a multiple of rank (8)")]),
        ({"cross": [0.5, 0.7]}, [("cross", "numbers among levels ([0.5, 0.9])")]),
        ({"a": 4}, [("a", "at most b (3)")]),
        ({"less": 6}, [("less", "fewer than a x b (6)")]),
        ({"form": "tight", "rank": 4}, [("rank", "8 | 16 where form is tight")]),
        ({"rank": 4}, []),
        ({"a": 4, "dim": 20}, [("dim", "a multiple of rank (8)"), ("a", "at most b (3)")]),
    ],
)
def test_what_does_not_go_together_is_named(changes, broken):
    assert [(option, words) for option, words, _ in conflicts(VALUES | changes, RULES)] == broken


def test_without_rules_all_goes_together_and_one_value_is_a_list_of_one():
    assert list(conflicts(VALUES, {})) == []
    assert listed(3) == [3] and listed((1, 2)) == [1, 2] and listed("ab") == ["ab"]


def test_the_options_that_a_rule_is_of_are_named_too():
    assert [others for *_, others in conflicts(VALUES | {"less": 9, "a": 4}, RULES)] == [("b",)]
    assert [others for *_, others in conflicts(VALUES | {"less": 9, "form": "tight", "rank": 4}, RULES)] == [
        ("a", "b"),
        ("form",),
    ]
