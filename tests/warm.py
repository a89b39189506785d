"""Snakemake and its jobs in forks of one process that has their imports: without the seconds these take.

Each run and each job is a process of its own, from its first line to its exit status, in its own folder, with
its own environment and streams. Only libraries are imported already: the code of a study is not, each study
has its own copy. What libraries read of the environment as they are imported they read once, and a module
that is used and not imported is there: jobs whose test gives an environment of its own, as those of
test_faults and of the cluster, start cold and would show it. Snakemake itself is always a fork.

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
    command = ["-m", "snakemake", *arguments]
    with contextlib.ExitStack() as stack:
        out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
        streams = [stack.enter_context(open(os.devnull)).fileno(), out.fileno(), err.fileno()]
        line = stack.enter_context(handing_over.start(server(), command, environment, folder, streams))
        line.settimeout(timeout)
        try:
            with line.makefile() as answers:
                _, status = map(int, answers)
        except TimeoutError:
            status = -signal.SIGKILL
        printed = [stream.seek(0) or stream.read() for stream in (out, err)]
    return subprocess.CompletedProcess(command, status, *printed)


@cache
def server() -> str:
    """The socket of this process's server, started on first use."""
    place = tempfile.TemporaryDirectory()
    name = str(Path(place.name, "socket"))
    environment = os.environ | {"PYTHONPATH": str(LEAN), "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [sys.executable, __file__, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches a fork through its caller alone
    )
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("tests/warm.py did not start; what it says stands above")
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
    """Start what is asked for on ``line``, say its number and its status.

    The fork and what it started are killed when its caller is gone.
    """
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    with line.makefile() as asked:
        given = json.loads(asked.readline())
    fork = os.fork()
    os.setpgid(fork, fork)  # in both: whoever comes first
    if not fork:
        line.close()
        end(lambda: enter(streams=streams, **given))
    for stream in streams:
        os.close(stream)
    answer(line, fork)
    while not (ended := os.waitpid(fork, os.WNOHANG))[0]:
        if select.select([line], [], [], 0.02)[0]:
            os.killpg(fork, signal.SIGKILL)
    answer(line, os.waitstatus_to_exitcode(ended[1]))
    os._exit(0)


def answer(line, number):
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the caller is gone
        line.sendall(b"%d\n" % number)


def end(work):
    """End with ``work``'s status, as Python does, but without taking apart what was imported: two seconds."""
    status = 0
    try:
        work()
    except SystemExit as stop:
        status = (stop.code or 0) if isinstance(stop.code, int | None) else 1
        if not isinstance(stop.code, int | None):
            print(stop.code, file=sys.stderr)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # what Python does first as it ends, in its order
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


def enter(arguments, environment, folder, streams):
    """Be ``python ARGUMENTS``: a module (``-m name``) or a file, with arguments of its own."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    of_server = {os.path.dirname(os.path.realpath(__file__)), *os.environ["PYTHONPATH"].split(os.pathsep)}
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    path = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    module = arguments[0] == "-m"
    first = os.getcwd() if module else os.path.dirname(os.path.realpath(arguments[0]))
    sys.path[:] = [first, *path, *(entry for entry in sys.path if entry not in of_server)]
    sys.argv = sys.orig_argv[1:] = arguments[module:]
    if module:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
