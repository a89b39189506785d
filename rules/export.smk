"""A checkpoint -> a model folder that transformers alone loads, and any other tool that reads such folders.

Needs: results/models/, results/adapters/. Makes: results/exports/, of the checkpoints that are asked for by name.
"""


rule export_model:
    """One checkpoint as a plain model folder: `snakemake -c1 results/exports/{model}/{checkpoint}`."""
    input:
        adapter=adapter_of,
        model=MODEL,
    output:
        export=directory("results/exports/{model}/{checkpoint}"),
    log:
        "results/logs/export_model/{model}.{checkpoint}.log",
    benchmark:
        "results/benchmarks/export_model/{model}.{checkpoint}.tsv"
    conda:
        "../envs/compute.yaml"
    resources:
        # five bytes a weight: it is merged in float32, on the CPU
        mem_mb=6000,
        runtime=60,
    params:
        base=entry("models", "model"),
        code=code("export_model.py"),
        name="{model}",
    script:
        "../scripts/export_model.py"
