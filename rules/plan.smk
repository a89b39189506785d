"""Before any GPU is asked for: does every model fit, what will the study take, how long on how many GPUs?

Needs: the config, and config.json of hub models. Makes: results/plan/. Both rules run where Snakemake runs.
"""

ASKED, MEASURED = study.asked(PROBES), list(study.measures)
PLANNED = ("models", "splits", "tokens", "orders", "seeds", "methods", "training", "evals")


rule preflight:
    """Refuse a plan that does not fit the GPU; memory, hours and cost of the rest."""
    output:
        plans=expand(PLAN, model=MODELS),
        summary="results/plan/plan.md",
    log:
        "results/logs/preflight/all.log",
    benchmark:
        "results/benchmarks/preflight/all.tsv"
    localrule: True
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        checkpoints=ASKED,
        code=code("preflight.py", "measurements", *MEASURED),
        families={variant: origin["family"] for variant, origin in study.families.items()},
        online=study.hub_models() != "(?!)",
        # what is read of a domain is its name, and of probes what is measured
        study={name: config[name] for name in PLANNED}
        | {
            "domains": {domain: {} for domain in DOMAINS},
            "reference": study.reference,
            "hardware": config.get("hardware", {}),
            "probes": {name: config["probes"][name] for name in MEASURED},
        }
        | ({"training": study.given["training"]} if study.format_warmup else {}),
    script:
        "../scripts/preflight.py"


rule estimate:
    """Print what the whole study takes and what is still to do: `snakemake estimate`.

    It makes no file, not even a benchmark, or Snakemake would find it done the second time.
    """
    log:
        "results/logs/estimate/all.log",
    localrule: True
    conda:
        "../envs/compute.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        checkpoints=ASKED,
        code=code("estimate.py", "measurements", *MEASURED),
        methods=config["methods"],
        online=study.hub_models() != "(?!)",
        run=RUN,
        snakefile=workflow.main_snakefile,
        study=study.given | {"probes": config["probes"]},
    script:
        "../scripts/estimate.py"
