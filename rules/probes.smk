"""Token shards -> activation stores -> one table per probe.

Needs: results/models/, results/tokens/, and adapters where later stages are measured. Makes: results/activations/,
results/tables/<probe>.csv.
"""

MEASURED = {"base": ["base"], "final": ["base", *stages("final")], "all": ["base", *stages()]}
MEASURED = MEASURED[config["probes"]["activations"]["stages"]]


rule measure_activations:
    """One streaming pass of a checkpoint over both probe halves of a domain."""
    input:
        adapter=adapter_of,
        model=MODEL,
        tokens=TOKENS,
    output:
        store=directory(STORE),
    log:
        "results/logs/measure_activations/{model}.{checkpoint}.{domain}.log",
    benchmark:
        "results/benchmarks/measure_activations/{model}.{checkpoint}.{domain}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=lookup("models/{model}", within=config),
        code=code("measure_activations.py"),
        name="{model}",
        # which checkpoints are measured changes nothing in the measurement of one
        options={key: value for key, value in config["probes"]["activations"].items() if key != "stages"},
    script:
        "../scripts/measure_activations.py"


rule probe_table:
    """One probe on the stores of all models and checkpoints: one long table."""
    input:
        stores=expand(STORE, model=MODELS, checkpoint=MEASURED, domain=DOMAINS),
    output:
        table=report(TABLE, caption="captions/table.rst", category="Tables", labels={"table": "{probe}"}),
    log:
        "results/logs/probe_table/{probe}.log",
    benchmark:
        "results/benchmarks/probe_table/{probe}.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=lambda wildcards: code("probe_table.py", "probes", wildcards.probe),
        options=lookup("probes/{probe}", within=config),
    script:
        "../scripts/probe_table.py"
