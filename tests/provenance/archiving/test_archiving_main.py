"""``python -m implicit_sparsity.provenance.archiving``: what it prints, and what it makes of a refusal."""

import subprocess
import sys
from pathlib import Path

import pytest
from planted_archive import FILES, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import __main__ as command
from implicit_sparsity.provenance.archiving import readiness

SCRIPTS = Path(readiness.__file__).parents[3]
RUN = {"configfiles": ["mine.yaml"], "config": {"seeds": [0, 1]}}
LEFT = """\
rule train_adapter:
    output: results/adapters/nano/lora
    wildcards: model=nano, method=lora

rule all:
    input: results/adapters/nano/lora
"""


def metadata(**changed):
    code = {"commit": "c" * 40, "dirty": False, "changed": [], "untracked": []}
    return {"code": code | changed, "files": 3, "bytes": 50, "left_out": [], "run": RUN}


def test_command_line_is_one_line_and_status_1(tmp_path):
    command = [sys.executable, "-m", "implicit_sparsity.provenance.archiving", "nowhere.tar"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (
        1,
        "",
    ) and done.stderr == "error: nowhere.tar: no such archive\n"


def test_the_summary_ends_in_a_command_for_a_shell():
    assert command.summary("a folder", metadata()) == [
        "restored 3 files, 50 bytes, into a folder: every checksum right",
        f"code: commit {'c' * 40}",
        "to ask what a change would run: "
        "cd 'a folder' && snakemake -n all --configfile mine.yaml --config 'seeds=[0, 1]'",
    ]


def test_the_summary_counts_changes_and_what_was_left_out():
    changed = metadata(dirty=True, changed=["a.py", "b.py"], untracked=["mine.yaml"])
    lines = command.summary("f", changed | {"left_out": ["results/models/nano"]})
    assert lines[1:3] == [
        f"code: commit {'c' * 40}, with changes (3 files)",
        "left out: 1 artifacts, made again when needed",
    ]


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["restore", *map(str, arguments)])
    status = command.main()
    return status, *capsys.readouterr()


def test_a_study_with_nothing_left_to_do_is_restored(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(readiness, "dry_run", lambda *given, **named: asked.append((given, named)) or "")
    archive = whole(tmp_path / "a.tar", run=RUN)
    status, printed, errors = run(monkeypatch, capsys, archive, tmp_path / "into")
    assert (status, errors) == (0, "") and printed.endswith("\nsnakemake: nothing to be done\n")
    assert (tmp_path / "into" / "Snakefile").read_bytes() == FILES["Snakefile"]
    assert asked == [((RUN,), {"folder": tmp_path / "into"})]


def test_a_study_that_would_run_again_is_told_by_the_names_of_its_jobs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(readiness, "dry_run", lambda *_, **__: LEFT)
    message = "f: Snakemake would run 1 jobs, train_adapter nano lora among them"
    with pytest.raises(InputError, match=f"^{message}$"):
        command.question("f", RUN)
    status, _, errors = run(monkeypatch, capsys, whole(tmp_path / "a.tar"), tmp_path / "into")
    assert status == 1 and errors == f"error: {message.replace('f:', str(tmp_path / 'into') + ':', 1)}\n"


def test_the_command_that_is_recommended_is_understood(tmp_path):
    """By a shell and by Snakemake: the study has one file, and nothing to do."""
    (tmp_path / "Snakefile").write_text("rule all:\n    input: 'mine.yaml'\n")
    (tmp_path / "mine.yaml").write_text("x: 1\n")
    *_, last = command.summary(tmp_path, metadata())
    line = last.partition(": ")[2].replace("snakemake", f"{sys.executable} -m snakemake", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr, done.stderr
