"""Numbers of generated text: read as GSM8K writes them, compared by value."""

import pytest

from implicit_sparsity.passes import scoring


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("so 6 * 7 = 42\n#### 42", "42", "42"),
        ("#### $1,234.50", "1,234.50", "1,234.50"),
        ("the answer is -3.", None, "-3"),
        ("#### twelve", None, None),
        ("#### 3\n#### 4", "4", "4"),
    ],
)
def test_numbers_are_read_as_gsm8k_writes_them(text, strict, flexible):
    assert scoring.extract_number(text) == strict
    assert scoring.extract_number(text, strict=False) == flexible


@pytest.mark.parametrize("cut", [True, False])
def test_a_cut_answer_matches_nothing_and_is_no_format_failure(cut):
    """The same text, right where it ended."""
    assert scoring.match("#### 42", cut, "42") == {
        "exact_match": int(not cut),
        "exact_match_flexible": int(not cut),
        "format_failure": 0,
        "answer_cut": int(cut),
    }


def test_same_number_looks_at_the_value():
    assert scoring.same_number("1,234.0", "1234") and scoring.same_number("42", "$42")
    assert not scoring.same_number("41", "42") and not scoring.same_number(None, "42")
    assert scoring.is_number("1,000") and not scoring.is_number("1/(n+1)") and not scoring.is_number(None)
