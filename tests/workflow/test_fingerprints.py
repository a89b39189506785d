"""Fingerprints follow code and nothing else, and what was noted of it is as good as reading it."""

import json
import sys

import pytest

from implicit_sparsity.workflow import fingerprints

FILES = {
    "job.py": '"""A job."""\nfrom implicit_sparsity import direct\nprint(direct)\n',
    "other.py": "import json\n",
    "implicit_sparsity/__init__.py": "",
    "implicit_sparsity/direct.py": "def late():\n    from .deep import far\n    return far.VALUE\n",
    "implicit_sparsity/deep/__init__.py": "KIND = 1\n",
    "implicit_sparsity/deep/far.py": "VALUE = 1\n",
    "implicit_sparsity/unused.py": "VALUE = 1\n",
    "implicit_sparsity/methods/__init__.py": "",
    "implicit_sparsity/methods/base.py": "VALUE = 1\n",
    "implicit_sparsity/methods/gated_lora.py": "from implicit_sparsity.methods import base\n",
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def changed(root, name, text):
    """Whether job.py's fingerprint changes when one file does; caches belong to one reading of the files."""
    forget()
    before = fingerprints.fingerprint("job.py", root=root)
    (root / name).write_text(text)
    forget()
    return fingerprints.fingerprint("job.py", root=root) != before


def forget():
    for remembered in (fingerprints._facts, fingerprints._imported, fingerprints._notes):
        remembered.cache_clear()


def test_closure_holds_what_is_imported_anywhere(root):
    names = [path.relative_to(root).as_posix() for path in fingerprints.closure("job.py", root=root)]
    assert names == [
        "implicit_sparsity/__init__.py",
        "implicit_sparsity/deep/__init__.py",
        "implicit_sparsity/deep/far.py",
        "implicit_sparsity/direct.py",
        "job.py",
    ]


@pytest.mark.parametrize(
    "name, text",
    [
        ("job.py", '"""A job, in other words."""\nfrom implicit_sparsity import direct\nprint(direct)\n'),
        (
            "job.py",
            '"""A job."""\n\n\nfrom implicit_sparsity import direct  # a comment\n\nprint(  direct)\n',
        ),
        (
            "implicit_sparsity/direct.py",
            'def late():\n  """New."""\n  from .deep import far\n  return (far.VALUE)\n',
        ),
        ("implicit_sparsity/deep/far.py", "VALUE = 0x1\n"),
        ("implicit_sparsity/unused.py", "VALUE = 2\n"),
        ("other.py", "import os\n"),
    ],
)
def test_words_and_form_do_not_count(root, name, text):
    assert not changed(root, name, text)


@pytest.mark.parametrize(
    "name, text",
    [
        ("job.py", "from implicit_sparsity import direct\nprint(direct, 1)\n"),
        ("implicit_sparsity/direct.py", "def late():\n    from .deep import far\n    return far.VALUE + 1\n"),
        ("implicit_sparsity/deep/far.py", "VALUE = 2\n"),
        ("implicit_sparsity/deep/far.py", "VALUE = 1.0\n"),
        ("implicit_sparsity/deep/__init__.py", "KIND = 2\n"),
        ("implicit_sparsity/deep/far.py", "VALUE = 1\n'a text that is no docstring'\n"),
    ],
)
def test_code_counts_through_every_import(root, name, text):
    assert changed(root, name, text)


def test_module_loaded_by_name_is_added(root):
    alone = fingerprints.fingerprint("job.py", root=root)
    method = "implicit_sparsity.methods.gated_lora"
    assert fingerprints.fingerprint("job.py", method, root=root) != alone
    names = {path.name for path in fingerprints.closure("job.py", method, root=root)}
    assert {"gated_lora.py", "base.py"} <= names


def test_missing_module_is_an_error(root):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fingerprints.fingerprint("nowhere.py", root=root)


def noted(root):
    (place,) = (root / "__pycache__").glob("*.json")
    return place


def test_noted_files_are_not_parsed_again(root, monkeypatch):
    before = fingerprints.fingerprint("job.py", root=root)
    forget()
    monkeypatch.setattr(fingerprints, "_digest", None)
    assert fingerprints.fingerprint("job.py", root=root) == before
    with pytest.raises(TypeError):  # this one was not read yet
        fingerprints.fingerprint("other.py", root=root)


@pytest.mark.parametrize("broken", [b"", b"{", b"[1]", b'{"k": 1}', b'{"k": ["xyz", []]}', b"\xff"])
def test_broken_notes_are_written_anew(root, broken):
    before = fingerprints.fingerprint("job.py", root=root)
    whole = noted(root).read_bytes()
    noted(root).write_bytes(broken)
    forget()
    assert fingerprints.fingerprint("job.py", root=root) == before
    assert noted(root).read_bytes() == whole


def test_equal_files_in_two_places_import_what_is_beside_them(root):
    for place in ("deep", "methods"):
        (root / f"implicit_sparsity/{place}/same.py").write_text("from . import far, base\n")
    names = [
        {path.name for path in fingerprints.closure(f"implicit_sparsity/{place}/same.py", root=root)}
        for place in ("deep", "methods")
    ]
    assert "far.py" in names[0] and "base.py" in names[1] and "base.py" not in names[0]


def test_where_nothing_may_be_written_there_are_no_notes(root):
    (root / "__pycache__").write_text("in the way")
    assert len(fingerprints.fingerprint("job.py", root=root)) == 64


def test_edits_do_not_pile_up(root, monkeypatch):
    monkeypatch.setattr(fingerprints, "MOST", 8)
    for number in range(6):
        (root / "implicit_sparsity/direct.py").write_text(f"from .deep import far\nprint({number})\n")
        forget()
        fingerprints.fingerprint("job.py", root=root)
    assert len(json.loads(noted(root).read_bytes())) == 8
