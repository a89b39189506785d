"""What the whole study will take, before anything is downloaded or run."""

import json
import tempfile
from pathlib import Path

from implicit_sparsity.workflow import job


def estimate(study, methods, checkpoints, snakefile):
    """Print the estimate. ``study``: the config; ``methods``: with every variant laid out; ``snakefile``: of
    the workflow, which is asked for its jobs.

    The graph is Snakemake's own: a dry run of everything in a process of its own, under the config that this
    one was given, says every job with its wildcards, inputs and outputs; a second one says what is still to
    do. (--d3dag has no wildcards, --detailed-summary no inputs of what was never made.)
    """
    from implicit_sparsity.planning import estimates, jobs, plan
    from implicit_sparsity.provenance import planned_jobs

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        _write(file, study)
        asked = ("all", "--snakefile", str(snakefile), "--replace-workflow-config", "--configfile", str(file))
        everything = jobs.linked(planned_jobs.ask(*asked, "--forceall"))
        left = jobs.linked(planned_jobs.ask(*asked))
    whole, notes = plan.study_of(study | {"methods": methods})
    print(estimates.text(whole, notes, checkpoints, everything, left), flush=True)


def _write(file: Path, study: dict) -> None:
    """JSON is YAML, and Snakemake reads a configfile by its ending."""
    file.write_text(json.dumps(study), encoding="utf-8")


if __name__ == "__main__":
    job.run(estimate, snakemake)
