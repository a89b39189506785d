"""Token shards -> stores of measurements -> one table per probe.

Needs: results/models/, results/tokens/, and adapters where later stages are measured. Makes:
results/<measurement>/, results/tables/<probe>.csv.
"""


rule measure_domain:
    """One measurement of a checkpoint on a domain; its module in measurements/ says what it is."""
    input:
        unpack(measured_from),
        model=MODEL,
        plan=ancient(PLAN),
    output:
        store=directory(STORES["domain"]),
    log:
        "results/logs/{measurement}/{model}.{checkpoint}.{domain}.log",
    benchmark:
        "results/benchmarks/{measurement}/{model}.{checkpoint}.{domain}.tsv"
    wildcard_constraints:
        measurement=study.of_scope("domain"),
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=4000,
        runtime=lambda w, attempt: attempt * study.measures[w.measurement].minutes,
    params:
        base=entry("models", "model"),
        code=lambda w: code("measure.py", "measurements", w.measurement),
        domains=lambda w: study.domains_measured(w.measurement, w.get("domain")),
        name="{model}",
        options=lambda w: study.measures[w.measurement].how,
        orders=lambda w: study.orders_read(w.measurement),
        reference=lambda w: study.reference_read(w.measurement),
    script:
        "../scripts/measure.py"


use rule measure_domain as measure_checkpoint with:
    output:
        store=directory(STORES["checkpoint"]),
    log:
        "results/logs/{measurement}/{model}.{checkpoint}.log",
    benchmark:
        "results/benchmarks/{measurement}/{model}.{checkpoint}.tsv"
    wildcard_constraints:
        measurement=study.of_scope("checkpoint"),
    priority: 1  # the longest jobs are among them: begun last, one would run alone


rule measure_control:
    """The pass over a base model once more, with one difference between domains taken away."""
    input:
        model=MODEL,
        plan=ancient(PLAN),
        tokens=expand(TOKENS, domain=COMPARED, allow_missing=True),
    output:
        stores=[directory(path) for path in expand(CONTROL, domain=COMPARED, allow_missing=True)],
    log:
        "results/logs/measure_control/{model}.{control}.log",
    benchmark:
        "results/benchmarks/measure_control/{model}.{control}.tsv"
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        base=entry("models", "model"),
        code=code("measure_control.py", "measurements", "activations"),
        domains=COMPARED,
        name="{model}",
        options=study.measures["activations"].how,
    script:
        "../scripts/measure_control.py"


rule probe_table:
    """One probe on what was measured of all models and checkpoints: one long table."""
    input:
        unpack(lambda w: {need: readable(need) for need in study.needs(w.probe)}),
    output:
        table=table("{probe}"),
    log:
        "results/logs/probe_table/{probe}.log",
    benchmark:
        "results/benchmarks/probe_table/{probe}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=lambda w: code("probe_table.py", "probes", w.probe),
        options=entry("probes", "probe"),
    script:
        "../scripts/probe_table.py"
