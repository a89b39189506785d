"""Is the study finished, and which files does it consist of? Asked of Snakemake: two dry runs.

A dry run of everything (``--forceall``) names every job with its inputs, outputs, logs and benchmarks; an
ordinary one names the jobs that are still to run, and why. Files that are read and made by no job are given.
"""

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import planned_jobs

NAMED, WORDS = 5, 120  # jobs that a refusal names, and letters of each reason


def finished(run: dict, snakefile) -> list[planned_jobs.Job]:
    """All jobs of the study; InputError naming what is still to be done, where anything is."""
    study = ["all", "--snakefile", str(snakefile)]
    left = planned_jobs.ask(*study, *planned_jobs.arguments(run))
    if left:
        listed = "; ".join(f"{job.name} ({job.reason[:WORDS]})" for job in left[:NAMED])
        more = f"; and {len(left) - NAMED} more" if len(left) > NAMED else ""
        raise InputError(f"the study is not finished, {len(left)} jobs are to run: {listed}{more}")
    return planned_jobs.ask(*study, "--forceall", *planned_jobs.arguments(run))
