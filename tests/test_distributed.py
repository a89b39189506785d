"""Two processes train what one would: losses, weights, restart points; and each way to fail ends in one line.

Most workers here are forks of the test, so that torch is imported once; the real launcher is used where it is
what is tested. Every wait has a limit: a hang fails.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import multimodal
import networks
import pytest
import studies
import torch
import train_adapter
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from implicit_sparsity import errors
from implicit_sparsity.models import adapters, loading, losses
from implicit_sparsity.storage.files import write_json
from implicit_sparsity.training import audit, launcher, sharding, trainer
from implicit_sparsity.workflow.job import arguments

ROOT = Path(train_adapter.__file__).parent.parent
LAUNCHER = ROOT / "slurm" / "fsdp.yaml"
KINDS = ("dense", "mixture")
LIMIT = 90  # seconds for one group of workers, on a machine that others use
TRAINING = networks.TRAINING | {"checkpoint_every": 2}
OPTIONS = {"full": {"learning_rate": 1e-4}, "lora": {"learning_rate": 2e-4, "rank": 4}}
IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


class Forks:
    """Workers forked from this process, as the launcher would start them."""

    def __init__(self, count, scratch):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = yaml.safe_load(LAUNCHER.read_text())["fsdp_config"]
        shared = {key.upper(): str(value) for key, value in settings.items()}
        shared |= {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        self.pids = [
            self._fork(scratch, shared | {"RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(count)
        ]

    @staticmethod
    def _fork(scratch, environment):
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.environ.update(environment)
            sys.stderr = (scratch / launcher.OUTPUT).open("a")
            AcceleratorState._reset_state(reset_partial_state=True)  # this process's, which trained alone
            launcher.main(scratch)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def wait(self, timeout=LIMIT):
        statuses, end = {}, time.monotonic() + LIMIT
        while len(statuses) < len(self.pids):
            for pid in set(self.pids) - set(statuses):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    statuses[pid] = os.waitstatus_to_exitcode(status)
            if any(statuses.values()) or time.monotonic() > end:  # as torchrun: one is gone, all go
                for pid in set(self.pids) - set(statuses):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        assert time.monotonic() < end, "the workers hang"
        return max(statuses.values(), key=abs)

    kill = wait


@pytest.fixture
def forked(monkeypatch):
    def start(count, settings, scratch, device):
        (scratch / launcher.OUTPUT).write_text("")
        return Forks(count, scratch)

    monkeypatch.setattr(launcher, "_start", start)


def train(nano, kind, method, gpu, folder, previous=None, **more):
    """One stage through the rule's function, on ``gpu`` processes."""
    model, tokens = nano(kind)
    domains = ["code", "math"][: 2 if previous else 1]
    shards, chosen = [str(tokens[d]) for d in domains], TRAINING | more
    base = {"precision": chosen.pop("precision", "fp32")}
    recipe = studies.recipe(method, OPTIONS.get(method, {}), chosen, domains, base=base)
    where = (str(folder), str(model), shards, recipe, previous and str(previous))
    train_adapter.train_adapter(*where, gpu=gpu, launcher=str(LAUNCHER))
    return folder


def curve(folder):
    lines = (folder / "learning_curve.csv").read_text().splitlines()
    return [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]


def weights(folder):
    whole = adapters.is_whole(folder)
    return load_file(folder / ("model.safetensors" if whole else "adapter_model.safetensors"))


def logits(folder, base):
    """Of a stage's folder, through transformers and PEFT alone."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if (folder / "config.json").exists():
        model = AutoModelForCausalLM.from_pretrained(folder)
    else:
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    with torch.no_grad():
        return model.to(torch.get_default_dtype()).eval()(input_ids=IDS).logits


def assert_same_stage(one, two):
    """The same curve and weights, both computed in float64 (fixture float64).

    Sums of at most 320 terms, about 100 of them in sequence (4 layers, forward and back), round to
    sqrt(320 * 100) * 2^-52 = 4e-14. AdamW divides by 1e-8 where a gradient is nothing else: in 4 steps of
    2e-4 weights differ by up to 4 * 2e-4 * 4e-14 / 1e-8 = 3e-9, the loss by 10 times that, norms and logits,
    which the network magnifies most, by 3000 times. In exact arithmetic all four are equal.
    """
    for a, b in zip(curve(one), curve(two), strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), abs=1e-7), a["step"]
        assert float(b["grad_norm"]) == pytest.approx(float(a["grad_norm"]), rel=1e-5), a["step"]
        assert (a["step"], a["tokens"], a["learning_rate"]) == (b["step"], b["tokens"], b["learning_rate"])
    ours, theirs = weights(one), weights(two)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(theirs[name], tensor, atol=1e-8, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(scope="session")
def alone(nano, tmp_path_factory):
    """(kind, method) -> the folder that one process leaves, and the folder of a second stage after it; to be
    called in float64."""
    place, made = tmp_path_factory.mktemp("alone"), {}

    def get(kind, method):
        if (kind, method) not in made:
            first = train(nano, kind, method, 1, place / f"{kind}.{method}.1")
            made[kind, method] = first, train(nano, kind, method, 1, place / f"{kind}.{method}.2", first)
        return made[kind, method]

    return get


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_processes_train_what_one_does(nano, alone, forked, float64, tmp_path, kind, method):
    one, two = alone(kind, method)[0], train(nano, kind, method, 2, tmp_path / "two")
    assert_same_stage(one, two)
    base = nano(kind)[0]
    torch.testing.assert_close(logits(two, base), logits(one, base), atol=1e-5, rtol=0)
    records = [json.loads((folder / "stage.json").read_text()) for folder in (one, two)]
    assert records[0]["audit"] == records[1]["audit"] and records[0]["audit"]["without_gradient"] == 0
    assert [record["measured"]["processes"] for record in records] == [1, 2]
    assert records[0]["training"]["completion_tokens"] == records[1]["training"]["completion_tokens"]
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["two"], "scratch is gone"


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
@pytest.mark.parametrize(("kind", "method"), [("mixture", "full"), ("dense", "lora")])
def test_another_number_of_processes_goes_on(
    nano, alone, forked, float64, tmp_path, monkeypatch, kind, method, first, then
):
    """A second stage, cut off inside step 3 of 4 with a restart point at step 2, then run again."""
    previous, whole = alone(kind, method)
    monkeypatch.setattr(sharding, "FILE_BYTES", 5000)  # many files
    before, steps = audit.Audit.before_step, []

    def cut_off(self, step):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        before(self, step)

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, launcher.WorkerFailed)):
        patch.setattr(audit.Audit, "before_step", cut_off)
        train(nano, kind, method, first, tmp_path / "x", previous)
    (scratch,) = tmp_path.glob(".partial-x-*")
    assert trainer.last_checkpoint(scratch).name == "checkpoint-2" and not (tmp_path / "x").exists()
    assert len(list(scratch.glob("checkpoint-2/part-*.safetensors"))) > 4
    pickles = {path.name.partition("_state")[0] for path in scratch.glob("*/*.pt*")}
    assert pickles <= {"rng"}, "weights and moments are safetensors"
    assert_same_stage(whole, train(nano, kind, method, then, tmp_path / "x", previous))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_saves_memory_works_on_parts_too(nano, forked, float64, tmp_path, monkeypatch, method):
    """Layers computed again, documents packed, the head in chunks."""
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 320 * 7)
    more = {"gradient_checkpointing": True, "packing": True}
    one, two = (train(nano, "mixture", method, n, tmp_path / str(n), **more) for n in (1, 2))
    assert_same_stage(one, two)
    assert json.loads((two / "stage.json").read_text())["audit"]["router_decisions"] > 0


@pytest.mark.parametrize("method", ["full", "lora"])
def test_bfloat16(nano, forked, tmp_path, method):
    """Computed in bfloat16, trained in float32, saved in the precision of the base."""
    one, two = (train(nano, "dense", method, n, tmp_path / str(n), precision="bf16") for n in (1, 2))
    for a, b in zip(curve(one), curve(two), strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=1e-2)
    ours, theirs = weights(one), weights(two)
    assert {t.dtype for t in ours.values()} == {t.dtype for t in theirs.values()}
    if method == "full":
        assert {t.dtype for t in theirs.values()} == {torch.bfloat16}
        assert adapters.load_checkpoint(nano("dense")[0], two, {"precision": "bf16"}).dtype == torch.bfloat16


def test_one_process_alone_reads_the_weights(nano, forked, tmp_path, monkeypatch):
    """The others have room for them, and get them from it: eight copies of a large model fit no node."""
    seen = tmp_path / "seen"
    load = loading._empty_init

    def empty_init(*given):
        seen.write_text(os.environ["RANK"])
        return load(*given)

    monkeypatch.setattr(loading, "_empty_init", empty_init)
    # as published: a vision-language checkpoint, of which the text model is trained and saved
    place, whole = multimodal.make(tmp_path / "vl", "mixture")
    write_json(place / "manifest.json", {"revision": "random", "files": {}})
    published = lambda kind: (place, nano(kind)[1])  # noqa: E731
    monkeypatch.setitem(OPTIONS, "full", {"learning_rate": 1e-9})
    trained = train(published, "mixture", "full", 2, tmp_path / "two", steps=1)
    assert seen.read_text() == "1"
    with torch.no_grad():
        expected = whole(input_ids=IDS).logits
    torch.testing.assert_close(logits(trained, place), expected, atol=1e-4, rtol=1e-4)


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
        environment = studies.environment(PYTHONPATH=str(ROOT / "scripts"))
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


def test_audit_refuses_parts(nano, forked, tmp_path, monkeypatch):
    from implicit_sparsity.methods.orthogonal import Orthogonal

    monkeypatch.setattr(Orthogonal, "sharded", True)
    with pytest.raises(audit.StageFailed, match="the constraint audit needs whole weights"):
        train(nano, "dense", "orthogonal", 2, tmp_path / "x")


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
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "LAUNCHER", tmp_path / "no.yaml")
        refused("no.yaml: accelerate's settings are not there")
