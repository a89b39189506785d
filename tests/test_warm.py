"""A job that is handed over to a fork ends as it would by itself."""

import os
import signal
import subprocess
import sys
import time

import pytest
import studies

JOB = """
import os, signal, sys, time
def leave(number, frame):
    raise SystemExit(128 + number)
signal.signal(signal.SIGTERM, leave)
try:
    print(os.getpid(), os.getcwd(), sys.argv[0], os.environ["WORD"], "torch" in sys.modules, flush=True)
    print("said", file=sys.stderr)
    {work}
finally:
    print("unwound", flush=True)
"""


@pytest.fixture
def start(tmp_path):
    def started(work, **changes):
        script = tmp_path / ".snakemake/scripts/job.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(JOB.format(work=work))
        environment = studies.environment() | {"WORD": "word"} | changes
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment, **streams)

    return started


@pytest.mark.parametrize(
    "work, status, error",
    [
        ("pass", 0, "said\n"),
        ("sys.exit(3)", 3, "said\n"),
        ("sys.exit('wrong')", 1, "said\nwrong\n"),
        ("sys.exit('')", 1, "said\n\n"),
        ("raise KeyboardInterrupt", 130, "said\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    ],
)
def test_status_and_streams(start, tmp_path, work, status, error):
    process = start(work)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status and errors.endswith(error)
    number, *first = output.splitlines()[0].split()
    assert int(number) != process.pid
    assert first == [str(tmp_path), f"{tmp_path}/.snakemake/scripts/job.py", "word", "True"]
    assert output.endswith("unwound\n")


def test_a_signal_is_handed_on_and_a_killed_job_is_gone(start):
    for number, status, rest in ((signal.SIGTERM, 143, "unwound\n"), (signal.SIGKILL, -9, "")):
        process = start("[time.sleep(0.1) for _ in range(600)]")
        fork = int(process.stdout.readline().split()[0])
        process.send_signal(number)
        assert process.wait(30) == status
        assert process.stdout.read() == rest
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                os.kill(fork, 0)
                time.sleep(0.1)


def test_without_a_server_nothing_runs(start, tmp_path):
    process = start("pass", WARM=str(tmp_path / "nowhere"))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and output == "" and "FileNotFoundError" in errors
