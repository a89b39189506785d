"""The line that a user reads."""

from pathlib import Path

import pytest

from implicit_sparsity.errors import InputError


@pytest.mark.parametrize(
    "given, line",
    [
        ({}, "is wrong"),
        ({"path": "a.json"}, "a.json: is wrong"),
        ({"path": Path("a") / "b.json", "line": 3}, "a/b.json:3: is wrong"),
        ({"key": "seeds"}, "seeds: is wrong"),
        ({"path": "a.yaml", "line": 0, "key": "seeds.0"}, "a.yaml:0: seeds.0: is wrong"),
        ({"line": 3}, "is wrong"),  # of no file
    ],
)
def test_what_is_known_comes_first(given, line):
    assert str(InputError("is wrong", **given)) == line


def test_it_is_one_line_and_a_value_error():
    error = InputError("first\nsecond", path="a\nb")
    assert str(error) == "a b: first second" and isinstance(error, ValueError)
