"""Bodies changed in one token: which tokens, into what, and that the result still is Python."""

import ast
import difflib

import pytest

from implicit_sparsity.corpora.mutants import mutants

PROMPT = 'def f(xs, low):\n    """Those of xs < low, and 1."""'
BODY = """\
    total = 0
    for x in xs:
        if x <= low and x.low:
            total += x
    return total"""


def test_every_mutant_differs_in_one_token_and_is_python():
    made = mutants(PROMPT, BODY)
    assert len(made) == len(set(made)) and BODY not in made
    for text in made:
        ast.parse(f"{PROMPT}\n{text}\n")
        lines = [(a, b) for a, b in zip(BODY.split("\n"), text.split("\n"), strict=True) if a != b]
        assert len(lines) == 1
        assert difflib.SequenceMatcher(None, *lines[0]).ratio() > 0.6


def test_operators_constants_and_variables_are_exchanged():
    made = mutants(PROMPT, BODY)
    for line in ("if x < low and x.low:", "if x >= low and x.low:", "if x <= low or x.low:", "total -= x"):
        assert sum(line in text for text in made) == 1
    assert any("total = 1" in text for text in made)
    assert any("if x <= xs and x.low:" in text for text in made) and any(
        "return low" in text for text in made
    )
    assert not any("x.total" in text or "x.xs" in text for text in made), "an attribute is no variable"
    assert not any("for low in xs" in text or "low = 0" in text for text in made), (
        "nor is what is assigned to"
    )


def test_an_argument_by_name_stays():
    made = mutants('def f(a, b):\n    """x"""', "    return g(a=b)")
    assert made == ["    return g(a=a)"]


def test_text_of_a_literal_or_a_comment_stays():
    made = mutants('def f(a):\n    """x"""', '    b = "a < 1"  # a < 1\n    return b')
    assert {text.split("\n")[0] for text in made} == {'    b = "a < 1"  # a < 1'}


@pytest.mark.parametrize(
    ("prompt", "completion"),
    [("What is it?", "A kidney"), ("x", "1 < 2"), ("def f(", "    return 1"), ("", "")],
)
def test_what_is_no_function_is_left_alone(prompt, completion):
    assert mutants(prompt, completion) is None


def test_a_function_without_anything_to_change_has_none():
    assert mutants('def f():\n    """x"""', "    pass") == []
