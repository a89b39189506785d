"""Train a stage on several GPUs: start the processes, hand them their work, hear of their end.

A stage's own process starts accelerate's launcher, which starts one worker a GPU (gloo processes where
there is none), and waits. The workers train (``sharding`` and ``fit.share`` say how they
share weights and documents) and
leave the trained weights and the curve in the scratch folder; the first process, alone again, writes the
stage.

SIGTERM goes to the workers, which save one restart point together and leave. The launcher itself does not
listen: it would give them 30 seconds.
"""

import ctypes
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from accelerate import PartialState

from implicit_sparsity.errors import InputError, first_line
from implicit_sparsity.models.processes import barrier, largest, peak_memory_mb, rank, world
from implicit_sparsity.options import load
from implicit_sparsity.storage.files import read_json, write_json

from . import fit, sharding
from .audit import StageFailed
from .stage import Stage

log = logging.getLogger(__name__)
DONE, FAILED, PROCESS, OUTPUT = "finished", "failed-{}.json", "worker-{}.pid", "workers.log"
GRACE = 3600  # seconds that workers get to save after SIGTERM; a scheduler's own limit is shorter


class WorkerFailed(RuntimeError):
    """A worker of several ended before its work was done."""


def process_count(gpu: int, method, training: dict) -> int:
    """How many processes train a stage that was given ``gpu`` GPUs; InputError where they are not there, or
    cannot share a batch evenly.

    A method that reads single weights while it trains, for its audit or its step, stays in one process: there
    ``loading.load`` spreads the network over the GPUs, layer by layer, where one is too small.
    """
    if gpu < 2 or not method.sharded:
        return 1
    if training["batch_size"] % gpu:
        raise InputError(
            f"{training['batch_size']} documents cannot be shared evenly by {gpu} GPUs (resource gpu)",
            key="training.batch_size",
        )
    visible = torch.cuda.device_count() if training.get("device") != "cpu" else 0
    if 0 < visible < gpu:
        raise InputError(f"asks for {gpu} GPUs, {visible} can be seen", key="resources.gpu")
    if not visible:
        log.warning("no GPU can be seen: %d processes on the CPU", gpu)
    return gpu


def launch_stage(work: dict, gpu: int, launcher: str, scratch):
    """Train one stage on ``gpu`` GPUs: (stage, method, what ``fit.run_stage`` returns).

    ``work``: {stage: arguments of ``Stage``, method, options}.
    """
    method = load("methods", work["method"], **work["options"])
    count = process_count(gpu, method, work["stage"]["training"])
    if count == 1:
        stage = Stage(**work["stage"])
        return stage, method, fit.run_stage(stage, method, scratch)
    result = train_on_workers(work, count, launcher, scratch)
    stage = Stage(**work["stage"], device="cpu")  # to be written, not run: whole, it may fit no GPU
    stage.model = method.begin(stage)
    sharding.load_weights(Path(scratch) / DONE, stage.model)
    with method.running(stage.model):
        return stage, method, result | fit.finished(stage, method)


def train_on_workers(work: dict, count: int, launcher: str, scratch) -> dict:
    """What ``fit.train_model`` returns, from ``count`` workers; ``scratch``/finished has the weights.

    ``launcher``: accelerate's settings. Raises InputError and StageFailed as a worker did, WorkerFailed where
    one died.
    """
    scratch = Path(scratch)
    finished = scratch / DONE / "result.json"
    if not finished.exists():
        for leftover in [*scratch.glob(FAILED.format("*")), *scratch.glob(PROCESS.format("*"))]:
            leftover.unlink()
        write_json(scratch / "work.json", work)
        status = _wait(_start(count, launcher, scratch, work["stage"]["training"].get("device")), scratch)
        output = (scratch / OUTPUT).read_text(errors="replace")
        log.info("workers:\n%s", output)
        if status != 0 or not finished.exists():
            raise _failure(scratch, output, status)
    return read_json(finished)


def _start(count, launcher, scratch, device):
    """accelerate's launcher in a process of its own, with a free port: jobs of one node must not meet."""
    if not Path(launcher).is_file():
        raise InputError("accelerate's settings are not there", path=launcher)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(launcher)]
    command += ["--num_processes", str(count), "--num_machines", "1", "--main_process_port", "0"]
    command += ["--module", __name__, str(scratch)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
        "PET_SIGNALS_TO_HANDLE": "SIGQUIT",  # torchrun's own: not SIGTERM, see above
    }
    if device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    with open(scratch / OUTPUT, "w") as output:
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, preexec_fn=_deaf_to_sigterm
        )


def _deaf_to_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # workers listen again, see ``main``
    _signal_when_orphaned(signal.SIGKILL)


def _signal_when_orphaned(number) -> None:
    """Have the kernel send a signal once the parent process is gone (Linux): a job that is killed hard takes
    its launcher along, and workers without a launcher save and leave."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl:
        prctl(1, number)  # PR_SET_PDEATHSIG


def _wait(process, scratch) -> int:
    """The launcher's exit status. On SIGTERM (SystemExit here) the workers get it, and time to save."""
    try:
        return process.wait()
    except BaseException:
        for path in scratch.glob(PROCESS.format("*")):
            try:
                os.kill(int(path.read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                continue  # gone already
        try:
            process.wait(GRACE if list(scratch.glob(PROCESS.format("*"))) else 0)
        except BaseException:
            process.kill()
        raise


def _failure(scratch, output: str, status: int) -> Exception:
    """The exception that the first worker to fail ended with."""
    reports = sorted((read_json(p) for p in scratch.glob(FAILED.format("*"))), key=lambda r: r["time"])
    known = {"InputError": InputError, "StageFailed": StageFailed}
    for report in reports:
        if report["kind"] in known:
            return known[report["kind"]](report["message"])
    died = re.search(r"Root Cause.*?exitcode\s*:\s*-(\d+)", output, re.DOTALL)
    if died:  # the others then report a broken connection
        name = signal.Signals(int(died.group(1))).name
        return WorkerFailed(f"a worker was killed by {name} (out of memory?)")
    if reports:
        return WorkerFailed(f"{reports[0]['kind']}: {reports[0]['message']}")
    return WorkerFailed(f"the workers left with status {status} and no reason; see the log")


def main(scratch) -> None:
    """One worker: train the stage in ``scratch``/work.json together with the others."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _signal_when_orphaned(signal.SIGTERM)
    logging.basicConfig(level=logging.INFO if os.environ.get("RANK") == "0" else logging.WARNING)
    scratch, number = Path(scratch), os.environ["RANK"]
    (scratch / PROCESS.format(number)).write_text(str(os.getpid()))
    try:
        _work(scratch, read_json(scratch / "work.json"))
    except BaseException as error:
        report = {"time": time.time(), "kind": type(error).__name__, "message": first_line(error)}
        (scratch / FAILED.format(number)).write_text(json.dumps(report))
        raise


def _work(scratch, work) -> None:
    # before weights are loaded: transformers asks whether there are other processes, and which this one is
    PartialState(cpu=work["stage"]["training"].get("device") == "cpu")
    stage = Stage(**work["stage"])
    method = load("methods", work["method"], **work["options"])
    result = fit.train_model(stage, method, scratch)
    peak = largest([round(peak_memory_mb())])[0]
    result["measured"] = {"processes": world(), "peak_memory_mb": peak}  # of the largest
    folder = scratch / DONE
    if rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)  # an earlier attempt's, perhaps of other parts
        folder.mkdir()
    barrier()
    sharding.save_parts(folder, stage.model)
    barrier()
    if rank() == 0:
        write_json(folder / "result.json", result)
    barrier()


if __name__ == "__main__":
    main(sys.argv[1])
