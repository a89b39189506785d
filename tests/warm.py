"""Snakemake's command line in forks of one process that has imported it: dry runs without its two seconds.

Each call is a process of its own, in its own folder, from ``snakemake.cli.main`` to its exit status. Only for
what starts no jobs. ``python warm.py`` is the server: one call a line, as JSON, until its input ends.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def snakemake(folder, *arguments, environment, timeout) -> subprocess.CompletedProcess:
    """What a finished ``snakemake ARGUMENTS`` said in ``folder``; after ``timeout`` seconds it is ended."""
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place, name) for name in ("out", "err")]
        given = {"arguments": arguments, "environment": environment, "folder": folder, "streams": streams}
        given["timeout"] = timeout
        process = server()
        print(json.dumps(given, default=str), file=process.stdin, flush=True)
        status = int(process.stdout.readline())
        reported = [path.read_text() for path in streams]
    return subprocess.CompletedProcess(["snakemake", *arguments], status, *reported)


@cache
def server() -> subprocess.Popen:
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, __file__], **streams)


def serve():
    from snakemake import cli

    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli.main(["--version"])  # imports the plugins
    for line in sys.stdin:
        given = json.loads(line)
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        signal.alarm(given["timeout"])
        os.environ.clear()
        os.environ.update(given["environment"])
        os.chdir(given["folder"])
        for number, path in enumerate(given["streams"], 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["snakemake", *given["arguments"]]
        cli.main(sys.argv[1:])  # leaves with its status
        sys.exit()


if __name__ == "__main__":
    serve()
