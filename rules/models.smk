"""A model's source -> a local folder of safetensors at a pinned revision -> the same after a format warm-up.

Needs: a package, a hub repository, a folder, or (from scratch) every domain's splits. Makes: results/models/.
A compute node may have no internet, so a hub model is fetched where Snakemake runs.
"""


rule prepare_model:
    """Put a model into the one form that every later rule reads, and check its declared shape."""
    input:
        # only a model from scratch reads documents, in the study's template, and never the reference set
        splits=lambda w: expand(SPLITS, domain=COMPARED if study.from_scratch(w.model) else []),
        weights=lambda w: study.weights_on_disk(w.model),
    output:
        folder=directory(PREPARED),
    log:
        "results/logs/prepare_model/{model}.log",
    benchmark:
        "results/benchmarks/prepare_model/{model}.tsv"
    wildcard_constraints:
        model=f"(?!(?:{study.hub_models()})$){NAME}",
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("prepare_model.py"),
        name="{model}",
        template=lambda w: config["tokens"]["template"] if study.from_scratch(w.model) else None,
    script:
        "../scripts/prepare_model.py"


use rule prepare_model as fetch_model with:
    log:
        "results/logs/fetch_model/{model}.log",
    benchmark:
        "results/benchmarks/fetch_model/{model}.tsv"
    wildcard_constraints:
        model=study.hub_models(),
    localrule: True
    params:
        online=True,


if study.format_warmup:

    rule warm_up_format:
        """Teach a model the template and its stop token, once for all methods, orders and seeds."""
        input:
            model=PREPARED,
            plan=ancient(PLAN),
        output:
            folder=directory(MODEL),
        log:
            "results/logs/warm_up_format/{model}.log",
        benchmark:
            "results/benchmarks/warm_up_format/{model}.tsv"
        conda:
            "../envs/compute.yaml"
        resources:
            mem_mb=6000,
            runtime=60,
        params:
            base=entry("models", "model"),
            code=code("warm_up_format.py"),
            options=study.format_warmup,
            tokens=config["tokens"],
        script:
            "../scripts/warm_up_format.py"
