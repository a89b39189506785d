"""What keys are made of: strict values, names, lists without repetition, words for the schema."""

import pytest
from pydantic import TypeAdapter, ValidationError

from implicit_sparsity.workflow.config import keys
from implicit_sparsity.workflow.config.keys import Entry, Section, key


class Strict(Section):
    """A section of two keys."""

    steps: keys.Count = key("Steps.")
    share: keys.Share = key("A share.", "small.", default=0.5)


class Open(Entry):
    """An entry of one key."""

    steps: keys.Count = key("Steps.", default=1)


def fits(kind, value) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (keys.Count, [1, 7], [0, -1]),
        (keys.Natural, [0, 3], [-1]),
        (keys.Share, [1e-9, 1.0, 1], [0, 1.0001, -0.5]),
        (keys.Positive, [1e-9, 3], [0, -1e-9]),
        (keys.Text, ["a", " "], ["", 3]),
        (keys.Name, ["a", "a_1"], ["", "A", "1a", "_a", "a-b", "a\n"]),
        (keys.Revision, ["0af9" * 10], ["0af9" * 9, "0AF9" * 10, "0ag9" * 10, "0af9" * 10 + "\n"]),
    ],
)
def test_limits(kind, right, wrong):
    assert all(fits(kind, value) for value in right)
    assert not any(fits(kind, value) for value in wrong)


@pytest.mark.parametrize("steps", ["3", 3.0, True, None])
def test_a_value_is_what_it_looks_like(steps):
    with pytest.raises(ValidationError):
        Strict.model_validate({"steps": steps})


def test_a_section_is_closed_and_an_entry_is_open():
    assert Strict.model_validate({"steps": 3}).share == 0.5
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Strict.model_validate({"steps": 3, "stepz": 3})
    assert Open.model_validate({"rank": 8}).model_extra == {"rank": 8}
    with pytest.raises(ValidationError):
        Open.model_validate({"rank": 8, "steps": 0})


def test_each_once_names_the_first_that_comes_again():
    assert keys.each_once([]) == [] and keys.each_once([2, 1, 3]) == [2, 1, 3]
    with pytest.raises(ValueError, match=r"^b twice$"):
        keys.each_once(["a", "b", "b", "a"])


def test_a_key_says_what_it_means_how_to_choose_it_and_what_is_allowed():
    fields = Strict.model_fields
    assert fields["steps"].description == "Steps." and fields["steps"].is_required()
    assert fields["share"].description == "A share. How to choose: small."
    worded = key("A file.", default=None, pattern="x$", allowed="a name in x")
    assert worded.json_schema_extra == {"x-allowed": "a name in x"} and worded.default is None
    more = keys.allowed("words", uniqueItems=True).json_schema_extra
    assert more == {"x-allowed": "words", "uniqueItems": True}
