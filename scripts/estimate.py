"""What the whole study will take, before anything is downloaded or run."""

from implicit_sparsity.workflow import job


def estimate(study, methods, checkpoints, run, snakefile):
    """Print the estimate. ``study``: the config; ``methods``: with every variant laid out; ``run``: config
    files and --config of this run; ``snakefile``: of the workflow, which is asked for its jobs.

    The graph is Snakemake's own: a dry run of everything in a process of its own says every job with its
    wildcards, inputs and outputs; a second one says what is still to do. (--d3dag has no wildcards,
    --detailed-summary no inputs of what was never made.)
    """
    from implicit_sparsity.planning import estimates, jobs, plan
    from implicit_sparsity.provenance import planned_jobs

    asked = ("all", "--snakefile", str(snakefile), *planned_jobs.arguments(run))
    everything = jobs.linked(planned_jobs.ask(*asked, "--forceall"))
    left = jobs.linked(planned_jobs.ask(*asked))
    whole, notes = plan.study_of(study | {"methods": methods})
    print(estimates.text(whole, notes, checkpoints, everything, left), flush=True)


if __name__ == "__main__":
    job.run(estimate, snakemake)
