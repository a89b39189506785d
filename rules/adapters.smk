"""Previous stage + domain -> adapter: an order is a chain of jobs.

Needs: results/models/, results/tokens/. Makes: results/adapters/.
"""


rule train_adapter:
    """Continue the adapter of one order by one domain, with one method."""
    input:
        model=MODEL,
        plan=ancient(PLAN),
        # none at the first stage, and none for a method that starts from the base model
        previous=lambda w: study.previous_adapter(ADAPTER, **w),
        # of the new domain, and of the old ones where the method reads them
        tokens=lambda w: expand(TOKENS, domain=study.domains_read(w.method, w.order, w.stage), model=w.model),
    output:
        adapter=directory(ADAPTER),
    log:
        "results/logs/train_adapter/{model}.{method}.{order}.seed{seed}.stage{stage}.log",
    benchmark:
        "results/benchmarks/train_adapter/{model}.{method}.{order}.seed{seed}.stage{stage}.tsv"
    priority: 2  # stages wait for each other, and much waits for them
    conda:
        "../envs/compute.yaml"
    resources:
        # gpu (none: one process, on whatever GPU is visible) comes from the profile or --set-resources, as where
        # a job runs does not change what it makes
        launcher=os.path.join(workflow.basedir, "slurm", "fsdp.yaml"),
        mem_mb=6000,
        runtime=240,
    params:
        # the method is found by name, so it is named here
        code=lambda w: code("train_adapter.py", "methods", study.method_module(w.method)),
        # what the stage is trained on, and how
        recipe=lambda w: study.recipe(**w),
    script:
        "../scripts/train_adapter.py"
