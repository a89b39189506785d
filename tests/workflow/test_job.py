"""Names become arguments; failures become one line and a status; unfinished work keeps its place."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

from implicit_sparsity.provenance import cache
from implicit_sparsity.workflow import job

SCRIPTS = Path(job.__file__).parents[2]

# A job in a process of its own, with the object that Snakemake hands to a script.
JOB = """
import sys, time
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards
from implicit_sparsity.workflow import job
from implicit_sparsity.errors import InputError

def work(mode):
    if mode == "wrong": raise InputError("a bad record", path="a.jsonl", line=3)
    if mode == "defect": raise ZeroDivisionError("division\\nby zero")
    if mode == "wait":
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally: print("unwound", flush=True)

snakemake = SimpleNamespace(rule="work", input=InputFiles(), output=OutputFiles(), wildcards=Wildcards(),
    params=Params(fromdict={"mode": sys.argv[1]}), log=Log(toclone=["job.log"]), threads=1)
job.run(work, snakemake)
"""


def rule(**given):
    """The ``snakemake`` object of a job."""
    kinds = {"input": InputFiles, "output": OutputFiles, "params": Params, "wildcards": Wildcards}
    parts = {name: kind(fromdict=given.get(name, {})) for name, kind in kinds.items()}
    return SimpleNamespace(rule="work", log=Log(), threads=given.get("threads", 1), **parts)


def start(folder, mode):
    command = [sys.executable, "-c", JOB, mode]
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


def test_arguments_by_name_and_precedence():
    def function(model, tokens, options, stage, threads, previous="none", **_):
        raise NotImplementedError

    given = rule(
        input={"model": "results/models/m", "tokens": ["a", "b"], "previous": []},
        params={"options": {"rank": 8}, "code": "x"},
        wildcards={"model": "m", "stage": "2"},
        threads=3,
    )
    assert job.arguments(function, given) == {
        "model": "results/models/m",
        "tokens": ["a", "b"],
        "options": {"rank": 8},
        "stage": "2",
        "threads": 3,
    }


def test_one_file_in_a_list_stays_a_list():
    assert job.arguments(lambda tokens: None, rule(input={"tokens": ["a"]})) == {"tokens": ["a"]}


def test_an_empty_input_does_not_hide_behind_a_wildcard():
    given = rule(input={"adapter": []}, wildcards={"adapter": "x"})
    assert job.arguments(lambda adapter=None: None, given) == {}


def test_a_missing_argument_names_rule_and_function():
    def function(store, tokens):
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"rule work has no value named tokens for function\(\)"):
        job.arguments(function, rule(output={"store": "a.zarr"}))


@pytest.mark.parametrize(
    "mode, status, line",
    [
        ("wrong", 1, "error: work: a.jsonl:3: a bad record (log: job.log)"),
        ("defect", 2, "error: work: ZeroDivisionError: division (log: job.log)"),
        ("nothing", 0, ""),
    ],
)
def test_failure_is_one_line_and_the_log_has_the_rest(tmp_path, mode, status, line):
    process = start(tmp_path, mode)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip(), output) == (status, line, "")
    log = (tmp_path / "job.log").read_text()
    assert ("Traceback" in log) == (status != 0)
    assert ("done in" in log) == (status == 0)


def test_sigterm_unwinds_and_is_not_success(tmp_path):
    process = start(tmp_path, "wait")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (128 + signal.SIGTERM, "unwound\n")
    assert "stopped: SystemExit" in (tmp_path / "job.log").read_text()


def test_scratch_keeps_its_key_and_drops_others(tmp_path):
    output = tmp_path / "adapters" / "lora.stage1"
    first = cache.scratch(output, "settings", 1)
    (first / "step").write_text("7")
    neighbour = cache.scratch(tmp_path / "adapters" / "lora.stage10", "settings", 1)
    assert (cache.scratch(output, "settings", 1) / "step").read_text() == "7"
    second = cache.scratch(output, "settings", 2)
    assert second.is_dir() and not first.exists() and neighbour.is_dir()
    assert second.parent == output.parent
