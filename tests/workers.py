"""Stages on several processes, and what they leave.

The workers are forks of the test, so that torch is imported once. Every wait has a limit: a hang fails.
"""

import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import networks
import pytest
import studies
import torch
import train_adapter
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from implicit_sparsity.models import adapters
from implicit_sparsity.storage.files import read_json, write_json
from implicit_sparsity.training import launcher

LAUNCHER = Path(train_adapter.__file__).parent.parent / "slurm" / "fsdp.yaml"
LIMIT = 90  # seconds for one group of workers, on a machine that others use
TRAINING = networks.TRAINING | {"checkpoint_every": 2}
OPTIONS = {"full": {"learning_rate": 1e-4}, "lora": {"learning_rate": 2e-4, "rank": 4}}
IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


class Forks:
    """Processes forked from this one, each of which runs ``work(rank)``."""

    def __init__(self, count, work):
        self.pids = [self._fork(work, rank) for rank in range(count)]

    @staticmethod
    def _fork(work, rank):
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            work(rank)
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


def together(count, function, folder):
    """[what ``function(rank)`` returns, plain values], of processes that are one group of ``count``."""
    folder.mkdir()

    def work(rank):
        where = f"file://{folder / 'group'}"
        torch.distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=count)
        write_json(folder / f"{rank}.json", function(rank))
        torch.distributed.barrier()  # none leaves while another still asks it

    assert Forks(count, work).wait() == 0
    return [read_json(folder / f"{rank}.json") for rank in range(count)]


def start(count, settings, scratch, device):
    """Workers as ``launcher._start`` has accelerate's launcher start them."""
    (scratch / launcher.OUTPUT).write_text("")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = yaml.safe_load(LAUNCHER.read_text())["fsdp_config"]
    shared = {key.upper(): str(value) for key, value in settings.items()}
    shared |= {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def work(rank):
        os.environ.update(shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        sys.stderr = (scratch / launcher.OUTPUT).open("a")
        AcceleratorState._reset_state(reset_partial_state=True)  # this process's, which trained alone
        launcher.main(scratch)

    return Forks(count, work)


@pytest.fixture
def forked(monkeypatch):
    """Workers of a stage are forks of this process."""
    monkeypatch.setattr(launcher, "_start", start)


def train(nano, kind, method, gpu, folder, previous=None, settings=LAUNCHER, **more):
    """One stage through the rule's function, on ``gpu`` processes."""
    model, tokens = nano(kind)
    domains = ["code", "math"][: 2 if previous else 1]
    shards, chosen = [str(tokens[d]) for d in domains], TRAINING | more
    base = {"precision": chosen.pop("precision", "fp32")}
    recipe = studies.recipe(method, OPTIONS.get(method, {}), chosen, domains, base=base)
    where = (str(folder), str(model), shards, recipe, previous and str(previous))
    train_adapter.train_adapter(*where, gpu=gpu, launcher=str(settings))
    return folder


def sigterm_at(cls, step, monkeypatch):
    """SIGTERM arrives in the middle of this step of a method, for as long as ``monkeypatch`` says."""
    count, whole = [], cls.step

    def stopped(self, model):
        count.append(whole(self, model))
        if len(count) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(cls, "step", stopped)


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
        for name in ("loss", "loss_content", "loss_first", "loss_stop", "loss_completion"):
            assert float(b[name]) == pytest.approx(float(a[name]), abs=1e-7), (a["step"], name)
        assert float(b["grad_norm"]) == pytest.approx(float(a["grad_norm"]), rel=1e-5), a["step"]
        same = ["step", "learning_rate", *(name for name in a if name.startswith("tokens"))]
        assert len(same) == 6 and [a[name] for name in same] == [b[name] for name in same]
    ours, theirs = weights(one), weights(two)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == torch.float64
        torch.testing.assert_close(theirs[name], tensor, atol=1e-8, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
