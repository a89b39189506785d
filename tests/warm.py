"""Snakemake and its jobs in forks of one process that has their imports: without the seconds these take.

Each run and each job is a process of its own, from its first line to its exit status, in its own folder, with
its own environment and streams. Only libraries are imported already: the code of a study is not, each study
has its own copy. What these libraries read of the environment as they are imported, they read once; who
changes that (``environment(HF_ENDPOINT=...)``) has cold jobs.

``python warm.py SOCKET`` is the server of one worker of the tests, until its input ends.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import cache
from pathlib import Path

from lean import handing_over

LEAN = Path(handing_over.__file__).parent
LIBRARIES = ("matplotlib.pyplot", "numba", "pandas", "peft", "scipy.stats", "transformers", "xarray", "zarr")


def snakemake(folder, *arguments, environment, timeout) -> subprocess.CompletedProcess:
    """What a finished ``snakemake ARGUMENTS`` said in ``folder``; after ``timeout`` seconds it is ended."""
    with contextlib.ExitStack() as stack:
        open_ = lambda: stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: E731
        nothing, out, err = stack.enter_context(open(os.devnull)), open_(), open_()
        streams = [stream.fileno() for stream in (nothing, out, err)]
        line = handing_over.start(server(), ["-m", "snakemake", *arguments], environment, folder, streams)
        with line, line.makefile() as answers:
            line.settimeout(timeout)
            int(answers.readline())
            status = int(answers.readline())
        said = [stream.seek(0) or stream.read() for stream in (out, err)]
    return subprocess.CompletedProcess(["snakemake", *arguments], status, *said)


@cache
def server() -> str:
    """The socket of this process's server, started on first use."""
    place = tempfile.TemporaryDirectory()
    name = str(Path(place.name, "socket"))
    environment = os.environ | {"PYTHONPATH": str(LEAN), "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    process.stdout.readline()
    atexit.register(lambda: (process.stdin.close(), process.wait(), place.cleanup()))
    return name


def serve(name):
    from snakemake import cli

    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main(["--version"])  # imports the plugins
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # a fork that looks through all of this would copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as calls:
        calls.bind(name)
        calls.listen(64)
        print("ready", flush=True)
        while calls in select.select([sys.stdin, calls], [], [])[0]:
            line, _ = calls.accept()
            if not os.fork():
                calls.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                watched(line)
            line.close()


def watched(line):
    """Start what is asked for on ``line``, say its number and its status; it ends when the caller does."""
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    with line.makefile() as asked:
        given = json.loads(asked.readline())
    fork = os.fork()
    if not fork:
        line.close()
        leave(lambda: enter(streams=streams, **given))
    for stream in streams:
        os.close(stream)
    line.sendall(b"%d\n" % fork)
    while not (ended := os.waitpid(fork, os.WNOHANG))[0]:
        if select.select([line], [], [], 0.02)[0]:
            os.kill(fork, signal.SIGKILL)
    with contextlib.suppress(BrokenPipeError):
        line.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
    os._exit(0)


def leave(work):
    """End with ``work``'s status, as Python does, but without taking apart what was imported: two seconds."""
    status = 0
    try:
        work()
    except SystemExit as stop:
        if stop.code and not isinstance(stop.code, int):
            print(stop.code, file=sys.stderr)
        status = stop.code if isinstance(stop.code, int) else bool(stop.code)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


def enter(arguments, environment, folder, streams):
    """Be ``python ARGUMENTS``: a module (``-m name``) or a file, with arguments of its own."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    ours = {os.path.dirname(__file__), *os.environ["PYTHONPATH"].split(os.pathsep)}
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    module = arguments[0] == "-m"
    first = os.getcwd() if module else os.path.dirname(os.path.realpath(arguments[0]))
    sys.path[:] = [first, *path, *(entry for entry in sys.path if entry not in ours)]
    sys.argv = sys.orig_argv[1:] = arguments[module:]
    if module:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
