"""What the whole study will take, before anything is downloaded or run."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import job


def estimate(study, methods, checkpoints, snakefile):
    """Print the estimate. ``study``: the config; ``methods``: with every variant laid out; ``snakefile``: of
    the workflow, which is asked for its jobs.

    The graph is Snakemake's own: a dry run of everything in a process of its own, under the config that this
    one was given, says every job with its wildcards, inputs and outputs; a second one says what is still to
    do. (--d3dag has no wildcards, --detailed-summary no inputs of what was never made.)
    """
    from implicit_sparsity.planning import estimates, jobs, plan

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        _write(file, study)
        everything = jobs.parse(_dry_run(snakefile, file, "--forceall"))
        left = jobs.parse(_dry_run(snakefile, file))
    whole, notes = plan.study_of(study | {"methods": methods})
    print(estimates.text(whole, notes, checkpoints, everything, left), flush=True)


def _write(file: Path, study: dict) -> None:
    """JSON is YAML, and Snakemake reads a configfile by its ending."""
    file.write_text(json.dumps(study), encoding="utf-8")


def _dry_run(snakefile, config: Path, *more: str) -> str:
    """What ``snakemake --dry-run all`` prints."""
    command = [sys.executable, "-m", "snakemake", "all", "--dry-run", "--snakefile", str(snakefile)]
    command += ["--replace-workflow-config", "--configfile", str(config), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no word"]
        reported = next((line for line in lines if "Error" in line), lines[-1])
        raise InputError(f"the workflow cannot be planned: {reported.strip()}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    job.run(estimate, snakemake)
