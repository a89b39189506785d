"""Functions of a planted library: which are taken, where they begin and end, what is left out."""

from pathlib import Path

import pytest

from implicit_sparsity.corpora.sources.python_stdlib import _of_file, _skipped

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


def functions(tmp_path, text=TEXT, name="email/mime/text.py", least=0):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return {r["id"]: r for r in _of_file(path, tmp_path, least)}


def test_functions_of_the_module_and_its_classes_that_have_a_docstring_and_a_body(tmp_path):
    made = functions(tmp_path)
    assert list(made) == [
        "email.mime.text:plain:4",
        "email.mime.text:Outer.Inner.method:14",
        "email.mime.text:conditional:29",
    ]
    assert {(r["group"], r["licence"]) for r in made.values()} == {("email", "PSF-2.0")}


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
    assert "email.mime.text:plain:4" in functions(tmp_path, least=length)
    assert "email.mime.text:plain:4" not in functions(tmp_path, least=length + 1)


BROKEN = "def f(:\n    '''x'''\n"
SINGLE = "def f():\n    'x'\n    return 1\n"  # a file without three quotes in a row is not even parsed


@pytest.mark.parametrize("text", [BROKEN, SINGLE, "x = 1\n", ""])
def test_a_file_of_another_version_or_without_a_docstring_gives_nothing(tmp_path, text):
    assert functions(tmp_path, text) == {}


def test_a_package_is_named_without_its_init(tmp_path):
    made = functions(tmp_path, "def f():\n    '''x'''\n    return 1\n", "json/__init__.py")
    assert list(made) == ["json:f:1"]


def test_a_function_behind_a_form_feed_is_left_out(tmp_path):
    """``splitlines`` counts one as a line and the parser does not: no function is torn."""
    text = "x = 1\n\x0c\ndef f():\n    '''x'''\n    y = 1\n    return y\n"
    assert functions(tmp_path, text) == {}
    assert len(functions(tmp_path, text.replace("\x0c", ""))) == 1


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("json/decoder.py", False),
        ("testing.py", False),
        ("unittest/test/support.py", True),
        ("idlelib/run.py", True),
        ("turtle.py", True),
        ("site-packages/numpy/core.py", True),
        ("config-3.11-x86_64-linux-gnu/python-config.py", True),
        ("_sysconfigdata__linux_x86_64-linux-gnu.py", True),
        ("configparser.py", False),
    ],
)
def test_what_distributions_change_is_skipped(path, out):
    assert _skipped(Path(path)) == out
