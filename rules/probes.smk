"""Token shards -> activation stores -> one table per probe.

Needs: results/models/, results/tokens/, and adapters where later stages are measured. Makes: results/activations/,
results/gradients/, results/tables/<probe>.csv.
"""

MEASURED = {model: probed(model, "activations") for model in MODELS}


# which checkpoints are measured, and under which controls, changes nothing in the measurement of one
CONTROLS = config["probes"]["activations"]["controls"]
PASS = {k: v for k, v in config["probes"]["activations"].items() if k not in ("stages", "controls")}

# What a probe may name in NEEDS: its paths, of all models and checkpoints. probe_table has an argument for each.
READABLE = {
    "activations": lambda: measured("activations", STORE, domain=DOMAINS),
    "controls": lambda: expand(CONTROL, model=MODELS, control=CONTROLS, domain=DOMAINS),
    "reference": lambda: expand(STORE, model=MODELS, checkpoint="base", domain=DOMAINS),
    "gradients": lambda: measured("gradients", GRADIENTS, domain=DOMAINS),
    "thresholds": lambda: measured("thresholds", THRESHOLDS, domain=DOMAINS),
    "drift": lambda: measured("drift", DRIFT),
    "plasticity_task": lambda: measured("plasticity_task", TASK),
    "plasticity_task_base": lambda: expand(TASK, model=MODELS, checkpoint="base"),
    "input_spectra": lambda: expand(SPECTRA, model=MODELS),
    "models": lambda: expand(MODEL, model=MODELS),
    "adapters": lambda: [
        f"results/adapters/{model}/{name}" for model in MODELS for name in stages(model, methods=PROBED)
    ],
}


rule measure_activations:
    """One streaming pass of a checkpoint over both probe halves of a domain."""
    input:
        adapter=adapter_of,
        model=MODEL,
        plan=ancient(PLAN),
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
        base=entry("models", "model"),
        code=code("measure_activations.py"),
        name="{model}",
        options=PASS,
    script:
        "../scripts/measure_activations.py"


rule measure_control:
    """The pass over a base model once more, with one difference between domains taken away."""
    input:
        model=MODEL,
        plan=ancient(PLAN),
        tokens=expand(TOKENS, domain=DOMAINS, allow_missing=True),
    output:
        stores=[directory(path) for path in expand(CONTROL, domain=DOMAINS, allow_missing=True)],
    log:
        "results/logs/measure_control/{model}.{control}.log",
    benchmark:
        "results/benchmarks/measure_control/{model}.{control}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        base=entry("models", "model"),
        code=code("measure_control.py"),
        domains=DOMAINS,
        name="{model}",
        options=PASS,
    script:
        "../scripts/measure_control.py"


rule measure_gradients:
    """Gradients of single documents of both probe halves of a domain at a checkpoint, sketched."""
    input:
        adapter=adapter_of,
        model=MODEL,
        plan=ancient(PLAN),
        tokens=TOKENS,
    output:
        store=directory(GRADIENTS),
    log:
        "results/logs/measure_gradients/{model}.{checkpoint}.{domain}.log",
    benchmark:
        "results/benchmarks/measure_gradients/{model}.{checkpoint}.{domain}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("measure_gradients.py"),
        name="{model}",
        # which checkpoints are measured changes nothing in the measurement of one
        options={k: value for k, value in config["probes"].get("gradients", {}).items() if k != "stages"},
    script:
        "../scripts/measure_gradients.py"


# An expert's own threshold is not in the stores: it takes the documents that they were made of.
BY_EXPERT = config["probes"].get("thresholds", {}).get("per") == "expert"


rule measure_thresholds:
    """Losses of a checkpoint on a domain's half b while activations that half a finds small are zero."""
    input:
        adapter=adapter_of,
        calibrating=expand(TOKENS, domain=DOMAINS, allow_missing=True) if BY_EXPERT else [],
        model=MODEL,
        plan=ancient(PLAN),
        stores=calibrating_stores,
        tokens=TOKENS,
    output:
        store=directory(THRESHOLDS),
    log:
        "results/logs/measure_thresholds/{model}.{checkpoint}.{domain}.log",
    benchmark:
        "results/benchmarks/measure_thresholds/{model}.{checkpoint}.{domain}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("measure_thresholds.py"),
        name="{model}",
        # which checkpoints are measured changes nothing in the measurement of one
        options={k: value for k, value in config["probes"].get("thresholds", {}).items() if k != "stages"},
    script:
        "../scripts/measure_thresholds.py"


rule measure_drift:
    """Hidden states, predictions and routing of a trained checkpoint against the base and the stage before."""
    input:
        adapter=adapter_of,
        model=MODEL,
        plan=ancient(PLAN),
        previous=stage_before,
        tokens=expand(TOKENS, domain=DOMAINS, allow_missing=True),
    output:
        store=directory(DRIFT),
    log:
        "results/logs/measure_drift/{model}.{checkpoint}.log",
    benchmark:
        "results/benchmarks/measure_drift/{model}.{checkpoint}.tsv"
    wildcard_constraints:
        checkpoint=TRAINED,
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("measure_drift.py"),
        domains=DOMAINS,
        name="{model}",
        # which checkpoints are measured changes nothing in the measurement of one
        options={k: value for k, value in config["probes"].get("drift", {}).items() if k != "stages"},
    script:
        "../scripts/measure_drift.py"


rule measure_plasticity:
    """A fixed task of random pairs learned from a checkpoint, and ranks and dormant neurons on probe documents."""
    input:
        adapter=adapter_of,
        model=MODEL,
        plan=ancient(PLAN),
        tokens=expand(TOKENS, domain=DOMAINS, allow_missing=True),
    output:
        store=directory(TASK),
    log:
        "results/logs/measure_plasticity/{model}.{checkpoint}.log",
    benchmark:
        "results/benchmarks/measure_plasticity/{model}.{checkpoint}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("measure_plasticity.py"),
        domains=DOMAINS,
        name="{model}",
        # which checkpoints are measured changes nothing in the measurement of one
        options={k: v for k, v in config["probes"].get("plasticity_task", {}).items() if k != "stages"},
    script:
        "../scripts/measure_plasticity.py"


rule measure_capacity:
    """Input dimensions of a base model's feed-forward layers that the domains of each order take up."""
    input:
        model=MODEL,
        plan=ancient(PLAN),
        tokens=expand(TOKENS, domain=DOMAINS, allow_missing=True),
    output:
        store=directory(SPECTRA),
    log:
        "results/logs/measure_capacity/{model}.log",
    benchmark:
        "results/benchmarks/measure_capacity/{model}.tsv"
    conda:
        "../envs/compute.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("measure_capacity.py"),
        domains=DOMAINS,
        name="{model}",
        options=config["probes"].get("input_spectra", {}),
        orders=config["orders"],
    script:
        "../scripts/measure_capacity.py"


rule probe_table:
    """One probe on what was measured of all models and checkpoints: one long table."""
    input:
        unpack(needed),
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
        options=entry("probes", "probe"),
    script:
        "../scripts/probe_table.py"
