"""What an archive holds, whole: every file with its sum, and what is made for it."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from provenance.planted_checkout import FILES, checkout

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats, planned_jobs
from implicit_sparsity.provenance.archiving import assembling
from implicit_sparsity.provenance.archiving.layout import (
    CRATE,
    LAID,
    LICENCES,
    MADE_HERE,
    MANIFEST,
    METADATA,
    PATCH,
)

CITATION = "title: T\nabstract: A\nversion: '1'\nlicense: MIT\nauthors: [{name: G}]\n"
TABLE = "results/tables/scores.csv"
RUN = {"configfiles": [], "config": {}}
OPTIONS = {"weights": True, "activations": False, "path": "a.tar"}


@pytest.fixture
def root(tmp_path):
    """A study with one table, which is committed but for that."""
    folder = checkout(tmp_path / "study", FILES | {"CITATION.cff": CITATION, "config.yaml": "x: 1\n"})
    note = formats.snakemake_note(TABLE)
    for name, text in ((TABLE, "a\n1\n"), (note, '{"starttime": 5.5, "endtime": 7.5}')):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("results/\n.snakemake/\n")
    return folder


def assemble(root):
    files = {"input": [], "output": [TABLE], "log": [], "benchmark": []}
    jobs = [planned_jobs.Job(1, "table", {}, "", files)]
    return assembling.assemble(root, jobs, RUN, OPTIONS, {"seeds": [0]})


def content(source) -> bytes:
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def test_every_member_has_its_sum_and_the_manifest_all_but_its_own(root):
    members, sums, _ = assemble(root)
    assert sums == {name: hashlib.sha256(content(source)).hexdigest() for name, source in members.items()}
    taken = {*FILES, "CITATION.cff", "config.yaml", TABLE, formats.snakemake_note(TABLE)}
    assert set(members) == taken | set(MADE_HERE)
    lines = [line.split("  ", 1) for line in members[MANIFEST].decode().splitlines()]
    assert {name: total for total, name in lines} == {n: total for n, total in sums.items() if n != MANIFEST}


def test_an_archive_counts_what_is_in_it_but_for_itself_and_the_manifest(root):
    members, _, metadata = assemble(root)
    counted = [len(content(source)) for name, source in members.items() if name not in (METADATA, MANIFEST)]
    assert (metadata["files"], metadata["bytes"]) == (len(counted), sum(counted))
    assert json.loads(members[METADATA]) == metadata
    assert metadata["options"] == {"activations": False, "weights": True} and metadata["laid"] == {
        "seeds": [0]
    }
    assert (metadata["started"], metadata["ended"]) == (5, 7)
    assert yaml.safe_load(members[LAID]) == {"seeds": [0]} and members[LICENCES].startswith(b"# Licences")
    named = {entity["@id"] for entity in json.loads(members[CRATE])["@graph"]}
    assert {TABLE, "Snakefile", METADATA} <= named


def test_changes_in_no_commit_come_along_as_a_patch_of_their_own(root):
    members, _, metadata = assemble(root)
    assert b"+.snakemake/\n" in members[PATCH] and metadata["code"]["changed"] == [".gitignore"]
    assert "patch" not in metadata["code"]
    (root / ".gitignore").write_text(FILES[".gitignore"])
    members, _, metadata = assemble(root)
    assert PATCH not in members and metadata["code"]["changed"] == []


def test_a_study_without_a_citation_is_refused(root):
    (root / "CITATION.cff").unlink()
    with pytest.raises(InputError, match=r"^CITATION\.cff: cannot be read: No such file or directory$"):
        assemble(root)


def test_the_same_study_is_assembled_the_same(root):
    first, second = assemble(root), assemble(root)
    assert first[1:] == second[1:]
