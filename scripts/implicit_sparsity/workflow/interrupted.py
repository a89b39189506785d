"""Going on after a kill: is the lock that a run left behind anybody's?

Snakemake's lock says that a run is at work, not which. A run notes who it is (``note``), so that the next one
can tell a lock that a dead run left, which it takes away, from one that is held, where it leaves in one line.
rules/patches.smk calls both.
"""

import json
import os
import socket
from pathlib import Path

import psutil

from implicit_sparsity.errors import InputError

NOTE = ".snakemake/run.json"
SLACK = 2.0  # seconds by which two readings of one process's start may differ


def note(local: bool) -> None:
    """Write down which process runs this study; ``local``: its jobs, too, are on this machine."""
    me = psutil.Process()
    noted = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time(), "local": local}
    Path(NOTE).write_text(json.dumps(noted), encoding="utf-8")


def of_dead_run() -> str:
    """What to say of a lock that a dead run of this folder left; InputError, with the command that goes on,
    where the lock may be held."""
    here, unlock = Path.cwd(), "if none is at work: snakemake --unlock, then again"
    try:
        noted = json.loads(Path(NOTE).read_text("utf-8"))
        host, run = noted["host"], (noted["pid"], noted["started"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"is locked by a run that left no note of itself; {unlock}", path=here) from None
    if host != socket.gethostname():
        raise InputError(f"is locked by process {run[0]} of the machine {host}; {unlock}", path=here)
    if _is_alive(*run):
        raise InputError(f"another run is at work here, process {run[0]}: wait for its end", path=here)
    if not noted.get("local"):
        raise InputError(f"a run was killed, its jobs may be in the cluster's queue; {unlock}", path=here)
    if others := _at_work():
        pids = " ".join(map(str, others))
        raise InputError(f"jobs of a killed run are at work: wait for their end, or: kill {pids}", path=here)
    return f"{here}: process {run[0]} was killed; what it had begun runs again, what it had done stays"


def going_on() -> str:
    """``of_dead_run``; where it refuses, the process leaves: one line on stderr, exit status 1."""
    try:
        return of_dead_run()
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def _is_alive(pid: int, started: float) -> bool:
    """Whether the process of this number is the one that was noted, and not a later one."""
    try:
        return abs(psutil.Process(pid).create_time() - started) < SLACK
    except psutil.Error:
        return False


def _at_work() -> list[int]:
    """Other processes of Snakemake or of its jobs in this folder."""
    me = psutil.Process()
    own = {me.pid, *(process.pid for process in me.parents())}
    return sorted(p.pid for p in psutil.process_iter() if p.pid not in own and _is_of_this_study(p))


def _is_of_this_study(process) -> bool:
    try:
        words = process.cmdline()
        ours = any("snakemake" in word or "implicit_sparsity" in word for word in words)
        is_python = bool(words) and "python" in os.path.basename(words[0])
        return (
            ours and is_python and process.status() != psutil.STATUS_ZOMBIE and process.cwd() == os.getcwd()
        )
    except psutil.Error:  # gone already, or another user's
        return False
