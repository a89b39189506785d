"""Checkpoint x domain -> eval JSON -> one long table of scores, R matrices, metrics.

Needs: results/models/, results/tokens/, results/adapters/. Makes: results/evals/, results/tables/.
"""

JOINT = [name for name in config["methods"] if study.method_module(name) == "joint"]
EVALS = [
    path
    for model in MODELS
    for path in expand(EVAL, model=model, checkpoint=study.checkpoints(model), domain=DOMAINS)
]


rule evaluate_checkpoint:
    """Score one checkpoint on every domain; the model is loaded once."""
    input:
        adapter=adapter_of,
        model=MODEL,
        plan=ancient(PLAN),
        tokens=expand(TOKENS, domain=DOMAINS, allow_missing=True),
    output:
        evals=expand(EVAL, domain=DOMAINS, allow_missing=True),
    log:
        "results/logs/evaluate_checkpoint/{model}.{checkpoint}.log",
    benchmark:
        "results/benchmarks/evaluate_checkpoint/{model}.{checkpoint}.tsv"
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        base=entry("models", "model"),
        code=code("evaluate_checkpoint.py"),
        domains=DOMAINS,
        name="{model}",
        options=config["evals"],
    script:
        "../scripts/evaluate_checkpoint.py"


rule collect_scores:
    """All evaluations as one long table: one row per score."""
    input:
        evals=EVALS,
    output:
        scores=table("scores"),
    log:
        "results/logs/collect_scores/all.log",
    benchmark:
        "results/benchmarks/collect_scores/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("collect_scores.py"),
    script:
        "../scripts/collect_scores.py"


rule continual_metrics:
    """R matrices and every continual-learning metric, each with formula and sign."""
    input:
        scores="results/tables/scores.csv",
    output:
        metrics=table("metrics"),
        r_matrices=table("r_matrices"),
    log:
        "results/logs/continual_metrics/all.log",
    benchmark:
        "results/benchmarks/continual_metrics/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("continual_metrics.py"),
        joint=JOINT,
        orders=config["orders"],
        reference=study.reference,
    script:
        "../scripts/continual_metrics.py"


rule compare_methods:
    """Methods against a reference at equal learning: fronts, intervals, paired tests, noise floor."""
    input:
        evals=EVALS,
        stages="results/tables/stages.csv",
    output:
        comparisons=table("comparisons"),
        fronts=table("fronts"),
    log:
        "results/logs/compare_methods/all.log",
    benchmark:
        "results/benchmarks/compare_methods/all.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("compare_methods.py"),
        families=study.families,
        options=config["comparisons"],
        orders=config["orders"],
    script:
        "../scripts/compare_methods.py"


rule collect_stages:
    """Learning curves and the record of every stage: budget, constraint audit, seconds, memory."""
    input:
        adapters=[
            f"results/adapters/{model}/{checkpoint}"
            for model in MODELS
            for checkpoint in study.stages(model)
        ],
        protection="results/tables/protection.csv" if "protection" in TABLES else [],
    output:
        curves=table("learning_curves"),
        stages=table("stages"),
    log:
        "results/logs/collect_stages/all.log",
    benchmark:
        "results/benchmarks/collect_stages/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("collect_stages.py"),
    script:
        "../scripts/collect_stages.py"
