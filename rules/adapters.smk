"""Previous stage + domain -> adapter: an order is a chain of jobs.

Needs: results/models/, results/tokens/. Makes: results/adapters/.
"""


rule train_adapter:
    """Continue the adapter of one order by one domain, with one method."""
    input:
        model=MODEL,
        plan=ancient(PLAN),
        previous=previous_stage,
        tokens=documents_read,
    output:
        adapter=directory(ADAPTER),
    log:
        "results/logs/train_adapter/{model}.{method}.{order}.seed{seed}.stage{stage}.log",
    benchmark:
        "results/benchmarks/train_adapter/{model}.{method}.{order}.seed{seed}.stage{stage}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        # gpu (none: one process, on whatever card is visible) comes from the profile or --set-resources, as where
        # a job runs does not change what it makes
        launcher=os.path.join(workflow.basedir, "slurm", "fsdp.yaml"),
        mem_mb=6000,
        runtime=240,
    params:
        code=method_code,
        recipe=recipe,
    script:
        "../scripts/train_adapter.py"
