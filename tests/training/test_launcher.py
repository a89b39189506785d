"""How many processes train a stage, what becomes of it when one is killed, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import studies
import torch
import train_adapter
from workers import LAUNCHER, LIMIT, TRAINING, curve, train

from implicit_sparsity import errors, methods
from implicit_sparsity.options import load
from implicit_sparsity.training import launcher
from implicit_sparsity.workflow.job import arguments

ALL = sorted(p.stem for p in Path(methods.__file__).parent.glob("*.py") if p.stem not in ("__init__", "base"))
JOB = """
import json, sys
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards
from implicit_sparsity.workflow import job
from train_adapter import train_adapter

given = json.loads(sys.argv[1])
kinds = {"input": InputFiles, "output": OutputFiles, "params": Params, "wildcards": Wildcards}
parts = {name: kind(fromdict=given[name]) for name, kind in kinds.items()}
parts |= {"resources": ResourceList(fromdict=given["resources"]), "log": Log(toclone=[given["log"]])}
job.run(train_adapter, SimpleNamespace(rule="train_adapter", threads=1, **parts))
"""


@pytest.mark.parametrize("name", ALL)
def test_a_method_with_an_audit_stays_whole(name):
    """Constrained steps are audited on whole weights, so such a method never trains on parts."""
    method = load("methods", name)
    assert not (method.constrained and method.sharded)
    assert launcher.process_count(2, method, TRAINING) == (2 if method.sharded else 1)


class Job:
    """The rule's script in a process of its own, with ``gpu`` GPUs; the launcher is the real one."""

    def __init__(self, nano, place, gpu, **more):
        model, tokens = nano("dense")
        self.place = place
        self.given = given = {
            "input": {"model": str(model), "tokens": [str(tokens["code"])]},
            "output": {"adapter": str(place / "stage")},
            "wildcards": {"method": "full", "order": "o", "seed": "0", "stage": "1"},
            "params": {"recipe": studies.recipe("full", {}, TRAINING | more)},
            "resources": {"gpu": gpu, "launcher": str(LAUNCHER)},
            "log": str(place / "job.log"),
        }
        environment = studies.environment(PYTHONPATH=str(Path(train_adapter.__file__).parent))
        command = [sys.executable, "-c", JOB, json.dumps(given)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def again(self, gpu):
        """The same job to its end, in this process."""
        parts = {name: dict(values) for name, values in self.given.items() if name != "log"}
        parts["resources"]["gpu"] = gpu
        given = SimpleNamespace(rule="train_adapter", threads=1, **parts)
        train_adapter.train_adapter(**arguments(train_adapter.train_adapter, given))

    def saved(self):
        """The last step that has a whole restart point."""
        result = self.place.glob(".partial-stage-*/*/complete")
        return max((int(path.parent.name.split("-")[1]) for path in result), default=0)

    def workers(self):
        return [int(path.read_text()) for path in sorted(self.place.glob(".partial-stage-*/worker-*.pid"))]

    def until_saved(self, after):
        end = time.monotonic() + LIMIT
        while self.saved() <= after:
            assert self.process.poll() is None and time.monotonic() < end, self.process.stderr.read()
            time.sleep(0.02)
        return self.workers()

    def end(self):
        """(exit status, last line on the terminal), once it and its workers are gone."""
        _, reported = self.process.communicate(timeout=LIMIT)
        end = time.monotonic() + LIMIT
        while any(alive(pid) for pid in self.workers()):
            assert time.monotonic() < end, "a worker stays behind"
            time.sleep(0.02)
        return self.process.returncode, reported.strip().splitlines()[-1:] or [""]


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_killed_worker_killed_job_and_sigterm(nano, tmp_path):
    """One stage, through accelerate's launcher: each time it goes on where it was, at last in one process."""
    more = {"steps": 60, "checkpoint_every": 4}
    job = Job(nano, tmp_path, 2, **more)
    os.kill(job.until_saved(0)[1], signal.SIGKILL)
    status, (line,) = job.end()
    assert status == 2 and line.startswith(
        "error: train_adapter: WorkerFailed: a worker was killed by SIGKILL"
    )

    job = Job(nano, tmp_path, 2, **more)
    before = job.saved()
    job.until_saved(before)
    job.process.kill()
    assert job.end()[0] == -signal.SIGKILL

    job = Job(nano, tmp_path, 2, **more)
    before = job.saved()
    job.until_saved(before)
    job.process.terminate()
    assert job.end()[0] == 128 + signal.SIGTERM
    stopped = job.saved()
    assert before < stopped < 60 and not (tmp_path / "stage").exists()

    job.again(1)
    assert len(curve(tmp_path / "stage")) == 60
    assert not list(tmp_path.glob(".partial-*"))
    learnt = [float(row["loss"]) for row in curve(tmp_path / "stage")]
    assert sum(learnt[-15:]) < sum(learnt[:15])  # of one step alone the loss depends on its documents


def test_what_is_missing_is_one_clear_line(nano, tmp_path, monkeypatch):
    def refused(match, gpu=2, **more):
        with pytest.raises(errors.InputError, match=match):
            train(nano, "dense", "full", gpu, tmp_path / "x", **more)
        assert not (tmp_path / "x").exists()

    refused("training.batch_size: 4 documents cannot be shared evenly by 3 GPUs", 3)
    refused("training.batch_size: 4 documents cannot be shared evenly by 8 GPUs", 8)
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        refused("resources.gpu: asks for 2 GPUs, 1 can be seen", device=None)
    refused("no.yaml: accelerate's settings are not there", settings=tmp_path / "no.yaml")
