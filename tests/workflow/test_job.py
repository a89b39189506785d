"""Names become arguments; failures become one line and a status; unfinished work keeps its place."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, Wildcards

from implicit_sparsity.workflow import job

SCRIPTS = Path(job.__file__).parents[2]
TESTS = Path(__file__).parents[1]
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
    if mode == "warn":
        import warnings
        from pathlib import Path
        import torch
        import networks
        from implicit_sparsity.models import loading
        from peft import LoraConfig, get_peft_model
        from transformers import trainer_utils
        loading.quiet()
        model = loading.create(networks.CONFIGS["dense"], 0)
        get_peft_model(model, LoraConfig(target_modules="all-linear"))
        assert not model.is_gradient_checkpointing  # what peft 0.21 asks
        model(torch.tensor([[1, 2, 3]]))
        for step in (1, 2): Path(f"checkpoint-{step}").mkdir()
        trainer_utils.sort_checkpoints(".", use_mtime=True)
        trainer_utils.logger.warning("a record")
        for module in ("transformers.modeling_utils", "ours"):
            warnings.warn_explicit("another is deprecated", FutureWarning, "a.py", 1, module)
        warnings.warn_explicit("`is_gradient_checkpointing` is deprecated", FutureWarning, "b.py", 2, "ours")

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
    environment = os.environ | {"PYTHONPATH": f"{SCRIPTS}{os.pathsep}{TESTS}"}
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


def test_two_stars_get_the_inputs_that_have_no_name():
    def function(table, models=None, **read):
        raise NotImplementedError

    inputs = {"models": ["m"], "activations": ["a", "b"], "drift": "d", "adapters": []}
    given = rule(input=inputs, output={"table": "t.csv"}, params={"options": {}})
    assert job.arguments(function, given) == {
        "table": "t.csv",
        "models": ["m"],
        "activations": ["a", "b"],
        "drift": ["d"],
    }


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


def test_warnings_that_nobody_can_act_upon_are_in_no_log(tmp_path):
    """Those alone: another warning of the same module, and the same of another module, are logged."""
    process = start(tmp_path, "warn")
    reported = process.communicate(timeout=300)
    log = (tmp_path / "job.log").read_text()
    assert process.returncode == 0, (reported, log)
    assert log.count("another is deprecated") == 2 and log.count("a record") == 1
    assert log.count("`is_gradient_checkpointing` is deprecated") == log.count("b.py:2") == 1
    assert "mtime" not in log and ("hub_kernels" in log) == torch.cuda.is_available()
