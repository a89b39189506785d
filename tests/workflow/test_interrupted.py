"""After a kill: a dead run's lock is taken away, one that may be held refused, with the way on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import studies

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import interrupted

ROOT = Path(__file__).parents[2]
CHANGES = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
include: {str(ROOT / "rules/patches.smk")!r}
"""
SLOW = """
rule all:
    input: "done"
rule slow:
    output: "done"
    shell: "touch {output}; test -e again || {{ touch began; exec sleep 100; }}"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()


def noted(**changed):
    interrupted.note(local=True)
    path = Path(interrupted.NOTE)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_lock_of_a_dead_run_on_this_machine_is_nobodys():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    noted(pid=dead.pid)
    assert f"process {dead.pid} was killed" in interrupted.of_dead_run()
    noted(started=psutil.Process().create_time() - 1000)
    assert "was killed" in interrupted.of_dead_run(), "the number is another process's by now"


@pytest.mark.parametrize(
    "changed, words",
    [
        ({}, "another run is at work here, process {}: wait"),
        ({"host": "elsewhere"}, "of the machine elsewhere; if none is at work: snakemake --unlock"),
        (
            {"pid": 2**22 - 1, "local": False},
            "may be in the cluster's queue; if none is at work: snakemake --unlock",
        ),
    ],
)
def test_a_lock_that_may_be_held_is_refused_with_the_way_on(changed, words):
    noted(**changed)
    with pytest.raises(InputError, match=words.format(os.getpid())):
        interrupted.of_dead_run()


def test_a_lock_without_a_note_or_with_a_broken_one_is_not_taken_away():
    for text in (None, "{", "[]", '{"host": 1}'):
        if text:
            Path(interrupted.NOTE).write_text(text)
        with pytest.raises(InputError, match="no note of itself; if none is at work: snakemake --unlock"):
            interrupted.of_dead_run()


def test_jobs_that_outlived_their_run_are_named():
    script = Path("snakemake_job.py")
    script.write_text("import time; time.sleep(100)")
    left = subprocess.Popen([sys.executable, str(script)])
    try:
        noted(started=0, host=socket.gethostname())
        with pytest.raises(InputError, match=f"or: kill {left.pid}"):
            interrupted.of_dead_run()
    finally:
        left.kill()
        left.wait()


def test_snakemake_goes_on_by_itself_after_sigkill():
    """The same command again; Snakemake alone would end in a LockException."""
    Path("plain.smk").write_text(SLOW)
    Path("Snakefile").write_text(CHANGES + SLOW)
    command = [sys.executable, "-m", "snakemake", "-c1"]
    with open("first.log", "w") as log:
        killed = subprocess.Popen(
            command, env=studies.environment(), stdout=log, stderr=log, start_new_session=True
        )
        for _ in range(600):
            if Path("began").exists():
                break
            time.sleep(0.1)
        os.killpg(killed.pid, signal.SIGKILL)  # its job, too
        killed.wait()
    assert list(Path(".snakemake/locks").iterdir()), Path("first.log").read_text()
    Path("again").touch()
    for more, refusal in (([], "IncompleteFilesException"), (["--rerun-incomplete"], "LockException")):
        done = studies.snakemake(Path.cwd(), "-c1", "-s", "plain.smk", *more)
        assert refusal in studies.reported(done, check=False), "mended upstream: take the change out"
    printed = studies.reported(studies.snakemake(Path.cwd(), "-c1"))
    assert f"process {killed.pid} was killed" in printed and "1 of 1 steps" not in printed
    assert "rule slow" in printed, "what was half written is not taken for done"
