"""The line that a user reads."""

from pathlib import Path

import pytest

from implicit_sparsity.errors import InputError, first_line


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


@pytest.mark.parametrize(
    "error, line",
    [
        (ValueError("is wrong\nand much more"), "is wrong"),
        (ValueError("\n  \n is wrong:\n\n    as 3 is no text\nmore"), "is wrong: as 3 is no text"),
        (ValueError("is wrong:"), "is wrong:"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_another_librarys_error_says(error, line):
    assert first_line(error) == line


def test_a_configuration_that_transformers_refuses_says_why():
    from transformers import LlamaConfig

    with pytest.raises(Exception, match="validate_architecture") as error:
        LlamaConfig(hidden_size=10, num_attention_heads=4)
    assert first_line(error.value).startswith(
        "Class validation error for validator 'validate_architecture': "
    )
    assert "not a multiple of the number of attention heads (4)" in first_line(error.value)
