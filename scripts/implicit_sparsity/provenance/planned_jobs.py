"""The jobs that a study consists of, or that are left of it: asked of Snakemake, in its form for programs.

Snakemake hands every job of a dry run to logger plugins as an event with its rule, wildcards and lists of
files (snakemake-interface-logger-plugins). What it prints is for people: a file called "a, b.jsonl" is two
there. ``ask`` runs this module in a process of its own, where it is such a plugin and writes a line of JSON
for each job.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

PLACE = "IMPLICIT_SPARSITY_PLANNED_JOBS"  # the file that the plugin writes
FILES = ("input", "output", "log")


@dataclass(frozen=True)
class Job:
    """One job of a dry run; ``files``: kind (input, output, log, benchmark) -> paths."""

    number: int
    rule: str
    wildcards: dict
    reason: str
    files: dict

    @property
    def name(self) -> str:
        return " ".join([self.rule, *map(str, self.wildcards.values())])


def ask(*arguments: str, folder=None) -> list[Job]:
    """The jobs that ``snakemake --dry-run ARGUMENTS`` would run in ``folder``, less those that make nothing
    (`all`); InputError with Snakemake's own last line where it cannot plan."""
    scripts = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [scripts, os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as place:
        written = Path(place) / "jobs"
        written.touch()
        command = [sys.executable, "-m", __name__, *arguments, "--dry-run", "--logger", "jobs"]
        environment = os.environ | {"PYTHONPATH": path, PLACE: str(written)}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
            errors="replace",
        )
        lines = [json.loads(line) for line in written.read_text("utf-8").splitlines()]
    if done.returncode:
        reported = [line["error"] for line in lines if "error" in line] or done.stderr.strip().splitlines()
        raise InputError(
            f"Snakemake cannot plan the study: {' '.join((reported or ['no word'])[-1].split())}"
        )
    return [Job(**line) for line in lines if line["files"]["output"]]


def _job(event) -> Job:
    """Of Snakemake's event JOB_INFO."""
    files = {kind: list(getattr(event, kind)) for kind in FILES}
    files["benchmark"] = [event.benchmark] if event.benchmark else []
    return Job(event.jobid, event.rule_name, dict(event.wildcards), event.reason, files)


def plugin():
    """The logger plugin's class; it needs Snakemake, which reading jobs does not."""
    from snakemake_interface_logger_plugins.base import LogHandlerBase
    from snakemake_interface_logger_plugins.common import LogEvent

    class LogHandler(LogHandlerBase):
        """Appends jobs and errors to the file ``PLACE``, a line of JSON each."""

        writes_to_stream = writes_to_file = has_filter = has_formatter = needs_rulegraph = False

        def emit(self, record: logging.LogRecord) -> None:
            event = getattr(record, "event", None)
            if event == LogEvent.JOB_INFO:
                line = asdict(_job(record))
            elif event == LogEvent.ERROR:
                line = {"error": record.getMessage()}
            else:
                return
            with open(os.environ[PLACE], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    return LogHandler


def main() -> None:
    from snakemake import cli
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    module = sys.modules[__name__]
    module.LogHandler = plugin()
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_jobs", module)
    sys.exit(cli.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
