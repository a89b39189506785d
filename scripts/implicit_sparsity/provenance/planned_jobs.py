"""The jobs that a study consists of, or that are left of it: asked of Snakemake, in its form for programs.

Snakemake hands every job of a dry run to logger plugins as an event with its rule, wildcards and lists of
files (snakemake-interface-logger-plugins). What it prints is for people: a file called "a, b.jsonl" is two
there. ``ask`` runs Snakemake in a process of its own, with such a plugin (``rules/job_events.py``).
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

PLUGIN = Path(__file__).parents[3] / "rules/job_events.py"


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


def arguments(run: dict) -> list[str]:
    """Snakemake's arguments for the same study: ``run`` has its config files and what --config gave."""
    files, given = run["configfiles"], run["config"]
    values = [f"{key}={json.dumps(value)}" for key, value in sorted(given.items())]
    return [*(["--configfile", *files] if files else []), *(["--config", *values] if values else [])]


def ask(*arguments: str, folder=None) -> list[Job]:
    """The jobs that ``snakemake --dry-run ARGUMENTS`` would run in ``folder``, less those that make nothing
    (`all`); InputError with Snakemake's own last line where it cannot plan."""
    with tempfile.TemporaryDirectory() as place:
        written = Path(place) / "jobs"
        written.touch()
        command = [sys.executable, str(PLUGIN), *arguments, "--dry-run", "--logger", "jobs"]
        environment = os.environ | {"PLANNED_JOBS": str(written)}
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
