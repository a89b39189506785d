"""A model's source -> a local folder of safetensors at a pinned revision.

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
        folder=directory(MODEL),
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
