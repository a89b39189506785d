"""What an option allows, whether a value is that, and the words in which it is said."""

import pytest

from implicit_sparsity.option_values import Option, described, items_of, kinds_of, misfit

SIZES = Option("tuple[float, ...]", (0.1,), size="neurons")


@pytest.mark.parametrize(
    "option, value, allowed",
    [
        (Option("int", low=1), 1, None),
        (Option("int", low=1), 0, "integer >= 1"),
        (Option("int"), True, "integer"),
        (Option("int"), 1.5, "integer"),
        (Option("float", low=0, high=1), 1, None),
        (Option("float", low=0, high=1), 1.5, "number >= 0 and <= 1"),
        (Option("float"), float("nan"), "number"),
        (Option("float"), "1", "number"),
        (Option("bool"), 1, "true or false"),
        (Option("str", choices=("a", "b")), "c", "a | b"),
        (Option("int | None"), None, None),
        (Option("list[str]"), "a", "list"),
        (Option("tuple", low=0, high=1), [0.5, 2], "list of numbers >= 0 and <= 1"),
        (Option("tuple", low=0, high=1), 0.5, None),
        (Option("tuple", choices=("a", "b")), ["a", "c"], "list of a | b"),
        (Option("tuple", (1,), low=0), [], "list of numbers >= 0 with at least one entry"),
        (Option("tuple", (1,), low=0, empty=True), [], None),
        (Option("tuple", (1,), low=0), None, "list of numbers >= 0"),
        (Option("tuple", (1,), low=0), [None], "list of numbers >= 0"),
        (Option("tuple", (1,), low=0), [True], "list of numbers >= 0"),
        (Option("tuple", (1,), low=0), ["1"], "list of numbers >= 0"),
        (Option("tuple", ("a",)), [1], "list of text"),
        (Option("tuple[int, ...]", (1,), low=1), [2, 2.5], "list of integers >= 1"),
        (Option("tuple[str, ...] | None", None), None, None),
        (Option("tuple[str, ...] | None", None), [], "list of text with at least one entry"),
        (Option("tuple[str, ...] | None", None), [None], "list of text"),
        (Option("list", ("a",)), [], "list with at least one entry"),
        (Option("float", above=0), 0, "number > 0"),
        (Option("float", above=0), 1e-300, None),
        (Option("float", above=0, below=1), 1, "number > 0 and < 1"),
        (Option("int", low=1, high="splits.probe"), 10**6, None),  # a place: only the workflow knows it
        (Option("bool", choices=(False,)), 0, "false"),
        (SIZES, [0.1, 1, 4], None),
        (SIZES, 4, None),
        (SIZES, [0], "list of shares below 1 or whole numbers of neurons"),
        (SIZES, [3.5], "list of shares below 1 or whole numbers of neurons"),
        (SIZES, [-0.1], "list of shares below 1 or whole numbers of neurons"),
        (SIZES, None, "list of shares below 1 or whole numbers of neurons"),
        (SIZES._replace(besides=(0,)), [0], None),
        (SIZES._replace(besides=(0,)), [1.5], "list of shares below 1 or whole numbers of neurons or 0"),
        (Option("float", 0.1, size="experts"), 1.5, "share below 1 or whole number of experts"),
        (Option("Anything"), object(), None),
    ],
)
def test_misfit_says_what_is_allowed(option, value, allowed):
    assert misfit(option, value) == allowed


def test_types_are_read_from_an_annotation_and_else_from_the_default():
    assert kinds_of("tuple[int | str, ...] | None") == ["tuple", "None"]
    assert kinds_of("dict[str, list[int]]") == ["dict"] and kinds_of("") == []
    assert items_of(Option("tuple[int | str, ...]")) == ["int", "str"]
    assert items_of(Option("tuple", (0.5, 1))) == ["float"] and items_of(Option("tuple", ("a",))) == ["str"]
    assert items_of(Option("tuple", ("a", 1))) == [] and misfit(Option("tuple", ("a", 1)), [1, "b"]) is None


def test_an_option_that_says_nothing_allows_a_value():
    assert described(Option("")) == described(Option("Anything")) == "value"
    assert misfit(Option(""), object()) is None
