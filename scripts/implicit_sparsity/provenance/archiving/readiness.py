"""Is the study finished, and which files does it consist of? Asked of Snakemake: two dry runs.

A dry run of everything (``--forceall``) names every job with its inputs, outputs, logs and benchmarks; an
ordinary one names the jobs that are still to run, and why. Files that are read and made by no job are given.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass

from implicit_sparsity.errors import InputError

BLOCK = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.M)
FIELD = re.compile(r"^    (input|output|log|benchmark|reason|wildcards): (.*)$", re.M)
NAMED, WORDS = 5, 120  # jobs that a refusal names, and letters of each reason


@dataclass
class Job:
    rule: str
    wildcards: list
    reason: str
    files: dict  # kind (input, output, log, benchmark) -> paths


def jobs(text: str) -> list[Job]:
    """The jobs that a dry run printed; the one that makes nothing (`all`) is left out."""
    parts, result = BLOCK.split(text)[1:], []
    for rule, body in zip(parts[::2], parts[1::2], strict=True):
        fields = dict(FIELD.findall(body.split("\n\n", 1)[0]))
        files = {kind: _listed(fields.get(kind, "")) for kind in ("input", "output", "log", "benchmark")}
        values = [pair.split("=", 1)[-1] for pair in _listed(fields.get("wildcards", ""))]
        if files["output"]:
            result.append(Job(rule, values, fields.get("reason", ""), files))
    return result


def _listed(text: str) -> list[str]:
    # a log is followed by a remark in brackets
    return [name.split(" (", 1)[0] for name in text.split(", ") if name]


def arguments(run: dict) -> list[str]:
    """Snakemake's arguments for the same study: ``run`` has its config files and what --config gave."""
    files, given = run["configfiles"], run["config"]
    values = [f"{key}={json.dumps(value)}" for key, value in sorted(given.items())]
    return [*(["--configfile", *files] if files else []), *(["--config", *values] if values else [])]


def dry_run(run: dict, *more: str, folder=None, snakefile=None) -> str:
    """What ``snakemake --dry-run all`` prints of a study."""
    command = [sys.executable, "-m", "snakemake", "all", "--dry-run", *more]
    command += ["--snakefile", str(snakefile)] if snakefile else []
    command += arguments(run)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    printed = done.stdout + done.stderr
    if done.returncode:
        lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["no word"]
        first = next((n for n, line in enumerate(lines) if "Error" in line or "Exception" in line), -1)
        raise InputError(f"Snakemake cannot plan the study: {' '.join(lines[first:][:3])}")
    return printed


def finished(run: dict, snakefile) -> list[Job]:
    """All jobs of the study; InputError naming what is still to be done, where anything is."""
    left = jobs(dry_run(run, snakefile=snakefile))
    if left:
        listed = "; ".join(
            f"{' '.join([job.rule, *job.wildcards])} ({job.reason[:WORDS]})" for job in left[:NAMED]
        )
        more = f"; and {len(left) - NAMED} more" if len(left) > NAMED else ""
        raise InputError(f"the study is not finished, {len(left)} jobs are to run: {listed}{more}")
    return jobs(dry_run(run, "--forceall", snakefile=snakefile))
