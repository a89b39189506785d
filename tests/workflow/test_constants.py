"""Constants of source, as Python would have them: nothing is run."""

import ast

import pytest

from implicit_sparsity.workflow.constants import NoConstant, constant, value_of

FILES = {
    "pack/__init__.py": "",
    "pack/words.py": (
        "from .deep import MORE as LONGER\nNAMES = {'a': 1, 'b': 2}\nLONGER_STILL = (*LONGER, 'z')\n"
    ),
    "pack/deep.py": "MORE = ('x',)\nMORE += ('y',)\nif MORE:\n    LATER = 1\n",
    "pack/user.py": (
        "import os\nfrom pack import words\nfrom pack.words import NAMES as KNOWN\n"
        "TITLES: dict = {**KNOWN, 'c': 3}\nCALLED = os.getcwd()\nCIRCLE = CIRCLE_TOO\nCIRCLE_TOO = CIRCLE\n"
    ),
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "expression, value",
    [
        ("('a', -1, 2.5, None)", ("a", -1, 2.5, None)),
        ("tuple(KNOWN)", ("a", "b")),
        ("tuple(TITLES)", ("a", "b", "c")),
        ("sorted({'q', *KNOWN})", ["a", "b", "q"]),
        ("(*TITLES, 'd')", ("a", "b", "c", "d")),
        ("words.LONGER_STILL", ("x", "y", "z")),
        ("{'k': words.NAMES} | {'j': [1]}", {"k": {"a": 1, "b": 2}, "j": [1]}),
        ("tuple(words.LONGER_STILL + ('w',))", ("x", "y", "z", "w")),
        ("CALLED", ...),
        ("CIRCLE", ...),
        ("nothing", ...),
        ("words.nothing", ...),
        ("os.sep", ...),
        ("[x for x in KNOWN]", ...),
        ("len(KNOWN)", ...),
    ],
)
def test_an_expression_has_the_value_that_running_it_would_give(root, expression, value):
    assert value_of(ast.parse(expression, mode="eval").body, "pack.user", root) == value


def test_a_name_that_is_set_in_a_branch_is_no_constant(root):
    assert constant("pack.deep", "MORE", root) == ("x", "y")
    with pytest.raises(NoConstant):
        constant("pack.deep", "LATER", root)
