"""``python -m implicit_sparsity.provenance.archiving``: what it prints, and what it makes of a refusal."""

import subprocess
import sys
from pathlib import Path

from planted_archive import FILES, whole

from implicit_sparsity.provenance.archiving import __main__ as command
from implicit_sparsity.provenance.archiving import readiness

SCRIPTS = Path(readiness.__file__).parents[3]
RUN = {"configfiles": ["mine.yaml"], "config": {"seeds": [0, 1]}}


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
        "nothing of it was run. The next command runs the archive's Snakefile: read that first, if it is "
        "not yours. It should say that nothing is to be done:",
        "    cd 'a folder' && snakemake -n all --configfile mine.yaml --config 'seeds=[0, 1]'",
    ]


def test_the_summary_counts_changes_and_what_was_left_out():
    changed = metadata(dirty=True, changed=["a.py", "b.py"], untracked=["mine.yaml"])
    lines = command.summary("f", changed | {"left_out": ["results/models/nano"]})
    assert lines[1:3] == [
        f"code: commit {'c' * 40}, with changes (3 files)",
        "left out: 1 artifacts, made again when needed",
    ]


def test_the_summary_of_code_without_a_commit():
    assert command.summary("f", metadata(commit=""))[1] == "code: no commit"


def test_nothing_of_the_archive_is_run(tmp_path):
    """Its Snakefile writes a file as soon as it is read, and so do a Makefile and modules of usual names."""
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\nrule all:\n    input: []\n".encode()
    names = (
        "Snakefile",
        "Makefile",
        "sitecustomize.py",
        "scripts/sitecustomize.py",
        "json.py",
        "snakemake.py",
    )
    archive = whole(tmp_path / "a.tar", FILES | dict.fromkeys(names, code))
    words = [sys.executable, "-m", "implicit_sparsity.provenance.archiving", str(archive), "into"]
    done = subprocess.run(
        words, cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "into/Snakefile").read_bytes() == code and not (tmp_path / "ran").exists()
    assert "nothing of it was run. The next command runs the archive's Snakefile" in done.stdout
    assert done.stdout.endswith("cd into && snakemake -n all\n")


def test_the_command_that_is_recommended_is_understood(tmp_path):
    """By a shell and by Snakemake: the study has one file, and nothing to do."""
    (tmp_path / "Snakefile").write_text("rule all:\n    input: 'mine.yaml'\n")
    (tmp_path / "mine.yaml").write_text("x: 1\n")
    *_, last = command.summary(tmp_path, metadata())
    line = last.replace("snakemake", f"{sys.executable} -m snakemake", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr, done.stderr
