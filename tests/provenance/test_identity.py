"""What made an artifact: the commit, the packages, and checksums that depend on content alone."""

import hashlib
import json
import platform

import numpy
import pytest
from provenance.planted_checkout import checkout

from implicit_sparsity.provenance import identity


@pytest.fixture
def repository(tmp_path):
    return checkout(tmp_path / "repository")


def test_a_folder_in_another_checkout_has_no_commit(repository):
    (repository / "results").mkdir()
    assert identity.commit(repository / "results") is None


def test_a_commit_is_dirty_once_a_tracked_file_was_changed(repository):
    commit = identity.commit(repository)
    assert len(commit) == 40 and set(commit) <= set("0123456789abcdef")
    (repository / "new.py").write_text("A = 2\n")
    assert identity.commit(repository) == commit, "a file that git does not know is none of the code"
    (repository / "scripts/a.py").write_text("A = 2\n")
    assert identity.commit(repository) == f"{commit}-dirty"


@pytest.mark.parametrize(
    ("archive", "commit"),
    [
        ('{"code": {"commit": "abc", "dirty": false}}', "abc"),
        ('{"code": {"commit": "abc", "dirty": true}}', "abc-dirty"),
        ('{"code": {"commit": "abc"}}', None),
        ("[]", None),
        ("{", None),
        (None, None),
    ],
)
def test_a_restored_study_has_the_commit_that_its_archive_names(tmp_path, archive, commit):
    if archive:
        (tmp_path / "archive.json").write_text(archive)
    assert identity.commit(tmp_path) == commit


@pytest.mark.parametrize(
    ("described", "commit"), [("a" * 40, "a" * 40), (f"{'a' * 40}-dirty", "a" * 40), (None, None)]
)
def test_the_hash_is_that_of_the_commit_changed_or_not(monkeypatch, described, commit):
    monkeypatch.setattr(identity, "commit", lambda: described)
    assert identity.git_hash() == commit


def test_versions_are_of_what_is_installed():
    made = identity.versions(("numpy", "no-such-package"))
    assert made == {"python": platform.python_version(), "numpy": numpy.__version__}


def test_a_digest_depends_on_the_value_and_not_on_the_order_of_keys():
    value = {"b": [1, None], "a": {"y": 2.5, "x": "é"}}
    same = {"a": {"x": "é", "y": 2.5}, "b": [1, None]}
    expected = hashlib.sha256(b'{"a": {"x": "\\u00e9", "y": 2.5}, "b": [1, null]}').hexdigest()
    assert identity.digest(value) == identity.digest(same) == expected
    assert identity.digest({**value, "b": [None, 1]}) != expected


def test_the_digest_of_a_folder_is_of_names_and_contents_that_match(tmp_path):
    for name, text in (("b.json", "2"), ("a.json", "1"), ("note.txt", "3")):
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.json").mkdir()
    sums = {name: hashlib.sha256(text).hexdigest() for name, text in (("a.json", b"1"), ("b.json", b"2"))}
    first = identity.folder_digest(tmp_path, "*.json")
    assert first == identity.digest(sums) != identity.folder_digest(tmp_path)
    (tmp_path / "note.txt").write_text("4")
    assert identity.folder_digest(tmp_path, "*.json") == first
    (tmp_path / "a.json").rename(tmp_path / "c.json")
    assert identity.folder_digest(tmp_path, "*.json") != first


def test_a_stage_is_its_adapter_or_the_whole_model(tmp_path):
    """Logs and records beside it do not count."""
    for name in ("adapter_model.safetensors", "adapter_config.json", "model.safetensors", "stage.json"):
        (tmp_path / name).write_text(name)
    adapter = identity.stage_digest(tmp_path)
    (tmp_path / "stage.json").write_text("other")
    (tmp_path / "model.safetensors").write_text("other")
    assert identity.stage_digest(tmp_path) == adapter
    (tmp_path / "config.json").write_text("{}")
    whole = identity.stage_digest(tmp_path)
    (tmp_path / "adapter_config.json").write_text("other")
    assert identity.stage_digest(tmp_path) == whole != adapter
    (tmp_path / "model.safetensors").write_text("another")
    assert identity.stage_digest(tmp_path) != whole


def test_a_store_says_what_was_measured_on_what(tmp_path):
    model = tmp_path / "nano"
    model.mkdir()
    files = {"model.safetensors": "5" * 64}
    (model / "manifest.json").write_text(json.dumps({"revision": "r1", "files": files}))
    title = "Losses of {model} ({checkpoint}) on {domain}"
    given = {"tokens": 3}, "c" * 64, "measure_domain"
    made = identity.attributes(title, model, None, "base", *given, domain="math", passes=4)
    assert made.pop("versions") == identity.versions()
    assert made == {
        "model": "nano",
        "checkpoint": "base",
        "domain": "math",
        "passes": 4,
        "title": "Losses of nano (base) on math",
        "revision": "r1",
        "model_sha256": identity.digest(files),
        "options": {"tokens": 3},
        "code": "c" * 64,
        "command": "snakemake: rule measure_domain",
    }
    named = identity.attributes(title, str(model), "ours", "base", *given, domain="math")
    assert (named["model"], named["title"]) == ("ours", "Losses of ours (base) on math")
