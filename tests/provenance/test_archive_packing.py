"""Equal content, equal bytes; code with what is in no commit; a data set's licence; refusals by name."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from planted_archive import FILES, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats, identity
from implicit_sparsity.provenance.archiving import contents, packing, readiness, reading, restoring
from implicit_sparsity.provenance.archiving.layout import MANIFEST, PATCH

PLAN = """\
Building DAG of jobs...

[Sun Nov 22 12:00:00 2026]
localrule preflight:
    output: results/plan/nano.json, results/plan/plan.md
    log: results/logs/preflight/all.log
    jobid: 8
    benchmark: results/benchmarks/preflight/all.tsv
    reason: Missing output files: results/plan/nano.json
    resources: tmpdir=/tmp


[Sun Nov 22 12:00:00 2026]
rule train_adapter:
    input: results/models/nano, results/tokens/nano/math
    output: results/adapters/nano/lora.forward.seed0.stage1
    log: results/logs/train_adapter/a.log (check log file(s) for error details)
    jobid: 7
    reason: Params have changed since last execution
    wildcards: model=nano, method=lora
    resources: tmpdir=/tmp

[Sun Nov 22 12:00:00 2026]
localrule all:
    input: results/tables/scores.csv
    jobid: 0
    reason: Input files updated by another job: results/tables/scores.csv
    resources: tmpdir=/tmp
Job stats:
"""


def git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A checkout with one commit."""
    root = tmp_path / "repository"
    root.mkdir()
    for name, text in (
        ("Snakefile", "rule all:\n"),
        ("scripts/a.py", "A = 1\n"),
        (".gitignore", "results/\n"),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_equal_content_gives_equal_bytes(tmp_path, ending):
    first = whole(tmp_path / f"a{ending}")
    second = whole(tmp_path / f"b{ending}", dict(reversed(FILES.items())))
    assert first.read_bytes() == second.read_bytes()
    assert whole(tmp_path / f"c{ending}", FILES | {"a": b""}).read_bytes() != first.read_bytes()


def test_headers_say_nothing_of_who_packed_it(tmp_path):
    with tarfile.open(whole(tmp_path / "a.tar.gz")) as tar:
        for info in tar:
            assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 1_700_000_000)


def test_a_file_stays_executable(tmp_path):
    script = tmp_path / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    archive = whole(tmp_path / "a.tar", FILES)
    members, sums = {"run": script}, {"run": packing.size_and_sum(script)[1]}
    members |= dict.fromkeys(("archive.json", MANIFEST), b"x")
    sums |= {name: packing.size_and_sum(b"x")[1] for name in ("archive.json", MANIFEST)}
    packing.write(archive, members, sums, 0)
    with tarfile.open(archive) as tar:
        assert tar.getmember("study/run").mode == 0o755


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    changing = tmp_path / "scores.csv"
    changing.write_text("new")
    members = {"scores.csv": changing, "archive.json": b"", MANIFEST: b""}
    sums = {name: packing.size_and_sum(b"")[1] for name in members}
    with pytest.raises(InputError, match="changed while it was being archived"):
        packing.write(tmp_path / "a.tar", members, sums, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv"]


def test_names_that_no_manifest_can_hold():
    with pytest.raises(InputError, match="no manifest"):
        packing.manifest({"a\nb": "0" * 64})


def test_jobs_of_a_dry_run():
    first, second = readiness.jobs(PLAN)
    assert (first.rule, first.files["output"]) == (
        "preflight",
        ["results/plan/nano.json", "results/plan/plan.md"],
    )
    assert (second.wildcards, second.reason) == (["nano", "lora"], "Params have changed since last execution")
    assert second.files["log"] == ["results/logs/train_adapter/a.log"]
    assert second.files["input"] == ["results/models/nano", "results/tokens/nano/math"]


def test_unfinished_study_is_refused_by_the_names_of_its_jobs(monkeypatch):
    monkeypatch.setattr(readiness, "dry_run", lambda *_, **__: PLAN)
    with pytest.raises(
        InputError, match=r"2 jobs are to run: preflight .Missing.*; train_adapter nano lora .Params"
    ):
        readiness.finished({}, "Snakefile")


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


def test_a_folder_in_another_checkout_has_no_commit(repository):
    (repository / "results").mkdir()
    assert identity.commit(repository / "results") is None


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
    first = readiness.Job(
        "prepare_model", [], "", {"input": ["data/own.jsonl"], "output": outputs[:1], **kinds}
    )
    second = readiness.Job("measure", [], "", {"input": outputs[:1], "output": outputs[1:], **kinds})
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


def test_an_archive_says_what_it_holds(tmp_path):
    assert reading.survey(whole(tmp_path / "a.tar")).bytes == sum(map(len, FILES.values()))
