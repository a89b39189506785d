"""A planted library: how its files are named and grouped, which are left out."""

from pathlib import Path

import pytest

from implicit_sparsity.corpora.sources.python_stdlib import _of_file, _skipped

FUNCTION = "def f():\n    '''x'''\n    return 1\n"


@pytest.mark.parametrize(
    ("name", "module", "group"),
    [("email/mime/text.py", "email.mime.text", "email"), ("json/__init__.py", "json", "json")],
)
def test_the_group_is_the_top_level_package(tmp_path, name, module, group):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(FUNCTION)
    (made,) = _of_file(path, tmp_path, 0)
    assert (made["id"], made["group"], made["licence"]) == (f"{module}:f:1", group, "PSF-2.0")


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
