"""What goes into an archive: code with what is in no commit, artifacts whole or not at all."""

import json
import os
import tarfile
from pathlib import Path

import pytest
from planted_archive import whole
from provenance.planted_checkout import checkout

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats, identity, planned_jobs
from implicit_sparsity.provenance.archiving import contents, restoring
from implicit_sparsity.provenance.archiving.layout import PATCH


@pytest.fixture
def repository(tmp_path):
    return checkout(tmp_path / "repository")


def test_code_of_a_clean_and_of_a_changed_checkout(repository):
    clean = contents.code(repository)
    assert not clean["dirty"] and clean["patch"] is None and len(clean["commit"]) == 40
    assert clean["listed"] == [".gitignore", "Snakefile", "scripts/a.py"]
    (repository / "scripts/a.py").write_text("A = 2\n")
    (repository / "mine.yaml").write_text("models: {}\n")
    changed = contents.code(repository)
    assert (changed["dirty"], changed["changed"], changed["untracked"]) == (
        True,
        ["scripts/a.py"],
        ["mine.yaml"],
    )
    assert "-A = 1\n+A = 2\n" in changed["patch"] and "mine.yaml" in changed["listed"]
    assert identity.commit(repository) == clean["commit"] + "-dirty"


def test_code_of_a_restored_study_is_compared_with_its_manifest(tmp_path):
    root, _ = restoring.restore(whole(tmp_path / "a.tar"), tmp_path / "root")
    assert identity.commit(root) == "c" * 40
    assert contents.code(root) == json.loads((root / "archive.json").read_text())["code"] | {
        "listed": ["Snakefile"],
        "patch": None,
    }
    (root / "Snakefile").write_text("rule other:\n")
    (root / PATCH).write_text("patch")
    assert contents.code(root)["changed"] == ["Snakefile"] and contents.code(root)["patch"] == "patch"
    with pytest.raises(InputError, match="neither a git checkout"):
        contents.code(tmp_path)


def artifact(root, path, **files):
    for name, text in files.items():
        file = root / path / name.replace("_json", ".json").replace("_bin", ".safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def study(repository):
    """Two artifacts of two jobs, one given file, and Snakemake's notes of them."""
    artifact(repository, "results/models/nano", manifest_json="{}", model_bin="weights")
    artifact(repository, "results/activations/a.zarr", zarr_json="{}")
    (repository / "data").mkdir()
    (repository / "data/own.jsonl").write_text("{}\n")
    outputs = ["results/models/nano", "results/activations/a.zarr"]
    for path in outputs:
        note = repository / formats.snakemake_note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text("{}")
    (repository / "results/leftover.csv").write_text("of no job")
    kinds = {"log": [], "benchmark": []}
    files = {"input": ["data/own.jsonl"], "output": outputs[:1], **kinds}
    first = planned_jobs.Job(1, "prepare_model", {}, "", files)
    files = {"input": outputs[:1], "output": outputs[1:], **kinds}
    second = planned_jobs.Job(2, "measure", {}, "", files)
    return repository, [first, second]


RUN = {"configfiles": [], "config": {}}


def test_artifacts_are_taken_whole_or_left_out_whole(study):
    root, jobs = study
    both = contents.gather(root, jobs, RUN, {"weights": True, "activations": True})
    assert {"results/models/nano/model.safetensors", "results/activations/a.zarr/zarr.json"} <= set(
        both.files
    )
    assert {"data/own.jsonl", "Snakefile", formats.snakemake_note("results/models/nano")} <= set(both.files)
    assert both.left_out == [] and "results/leftover.csv" not in both.files
    none = contents.gather(root, jobs, RUN, {"weights": False, "activations": False})
    assert none.left_out == ["results/activations/a.zarr", "results/models/nano"]
    assert not [name for name in none.files if name.startswith("results/")]
    retained = {name for name in none.files if name.startswith("left_out/")}
    assert retained == {
        "left_out/results/models/nano/manifest.json",
        "left_out/results/activations/a.zarr/zarr.json",
    }
    assert formats.snakemake_note("results/models/nano") in none.files


def test_an_earlier_archive_under_another_name_is_left_out(study):
    """And no other tar: that may be the user's data."""
    root, jobs = study
    whole(root / "earlier.tgz")
    with tarfile.open(root / "data.tar", "w") as tar:
        tar.add(root / "data/own.jsonl", "own.jsonl")
    (root / "broken.tar").write_text("no archive")
    names = contents.gather(root, jobs, RUN, {"weights": True, "activations": True}).files
    assert "earlier.tgz" not in names and {"data.tar", "broken.tar"} <= set(names)


@pytest.mark.parametrize("path", ["/data/own.jsonl", "../own.jsonl"])
def test_a_given_file_outside_the_study_is_refused(study, path):
    root, jobs = study
    jobs[0].files["input"] = [path]
    with pytest.raises(InputError, match="outside the study's folder"):
        contents.gather(root, jobs, RUN, {"weights": True, "activations": True})


def test_a_missing_note_of_snakemake_is_named(study):
    root, jobs = study
    (root / formats.snakemake_note("results/models/nano")).unlink()
    with pytest.raises(InputError, match=r"\.snakemake/metadata/.*is missing"):
        contents.gather(root, jobs, RUN, {"weights": True, "activations": True})


def test_a_config_file_from_elsewhere_comes_along(study, tmp_path):
    root, jobs = study
    (tmp_path / "mine.yaml").write_text("seeds: [1]\n")
    run = RUN | {"configfiles": [os.path.relpath(tmp_path / "mine.yaml", root)]}
    result = contents.gather(root, jobs, run, {"weights": True, "activations": True})
    assert result.run["configfiles"] == ["configs/0_mine.yaml"]
    assert Path(result.files["configs/0_mine.yaml"]).read_text() == "seeds: [1]\n"
