"""Functions of a planted file: which are taken, where they begin and end, what is left out."""

import pytest

from implicit_sparsity.corpora.functions import functions_of

TEXT = '''\
import os

@decorated
def plain(a,
          b=1):
    """Add."""
    c = a + b  # é
    return c

class Outer:
    """Not a function."""

    class Inner:
        async def method(self):
            """First line.

            Second line.
            """

            text = """
not indented
"""
            def inside():
                """Belongs to the outer body."""
                return text
            return inside

if os.name == "posix":
    def conditional():
        "One quote is a docstring too."
        return {"a": 1,
                "b": 2}

def no_docstring():
    return 1

def nothing_else():
    """Only this."""

def one_line(): """Doc."""; return 1

def two_on_a_line():
    """Doc."""; x = 1
    return x
'''


def functions(tmp_path, text=TEXT, least=0):
    path = tmp_path / "text.py"
    path.write_text(text, encoding="utf-8")
    return {r["id"]: r for r in functions_of(path, "mime.text", "mime", least)}


def test_functions_of_the_module_and_its_classes_that_have_a_docstring_and_a_body(tmp_path):
    made = functions(tmp_path)
    assert list(made) == [
        "mime.text:plain:4",
        "mime.text:Outer.Inner.method:14",
        "mime.text:conditional:29",
    ]
    assert {r["group"] for r in made.values()} == {"mime"}


def test_signature_and_docstring_are_the_prompt_and_the_rest_the_completion(tmp_path):
    plain, method, conditional = functions(tmp_path).values()
    assert plain["prompt"] == 'def plain(a,\n          b=1):\n    """Add."""'
    assert plain["completion"] == "    c = a + b  # é\n    return c"
    assert method["prompt"] == 'async def method(self):\n    """First line.\n\n    Second line.\n    """'
    assert method["completion"].startswith(
        '    text = """\nnot indented\n"""\n    def inside():\n        """Belo'
    )
    assert method["completion"].endswith("\n    return inside")
    assert conditional["completion"] == '    return {"a": 1,\n            "b": 2}'
    for made in (plain, method, conditional):
        compile(f"{made['prompt']}\n{made['completion']}\n", "document", "exec")


def test_short_bodies_are_left_out(tmp_path):
    length = len("return c") + len("c = a + b  # é\n    ")
    assert "mime.text:plain:4" in functions(tmp_path, least=length)
    assert "mime.text:plain:4" not in functions(tmp_path, least=length + 1)


BROKEN = "def f(:\n    '''x'''\n"
SINGLE = "def f():\n    'x'\n    return 1\n"  # a file without three quotes in a row is not even parsed


@pytest.mark.parametrize("text", [BROKEN, SINGLE, "x = 1\n", ""])
def test_a_file_of_another_version_or_without_a_docstring_gives_nothing(tmp_path, text):
    assert functions(tmp_path, text) == {}


def test_a_function_behind_a_form_feed_is_left_out(tmp_path):
    """``splitlines`` counts one as a line and the parser does not: no function is torn."""
    text = "x = 1\n\x0c\ndef f():\n    '''x'''\n    y = 1\n    return y\n"
    assert functions(tmp_path, text) == {}
    assert len(functions(tmp_path, text.replace("\x0c", ""))) == 1
