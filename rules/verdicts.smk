"""Tables -> verdicts on the claims, LaTeX tables, and the chapter that opens the report.

Needs: results/tables/, results/figures/. Makes: results/verdicts.*, results/latex/, results/chapter.html.
"""

CLAIMS = [source.module_name("claims", name) for name in config["claims"]]
VERDICTS = "results/verdicts.json"
# Where a model is trained in an order, its R matrices.
MATRICES = {
    f"results/latex/r_matrices.{model}.{order}.tex": {"model": model, "order": order}
    for model in MODELS
    for order in config["orders"]
    if "r_matrices" in TABLES and any(name.split(".")[1] == order for name in study.stages(model, "final"))
}
latex = partial(shown, caption="latex", category="LaTeX tables")
LATEX = [*MATRICES, "results/latex/metrics.tex", "results/latex/verdicts.tex"]


rule judge_claims:
    """Judge every claim by the tables: SUPPORTED, NOT SUPPORTED, INCONCLUSIVE or NOT RUN."""
    input:
        tables=expand("results/tables/{table}.csv", table=study.claimed_tables),
    output:
        page="results/verdicts.md",
        verdicts=VERDICTS,
        web=shown("results/verdicts.html", "verdicts", "Verdicts", page="verdicts"),
    log:
        "results/logs/judge_claims/all.log",
    benchmark:
        "results/benchmarks/judge_claims/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        claims=config["claims"],
        # claims are found by name, so they are named here
        code=fingerprints.fingerprint("judge_claims.py", *CLAIMS),
        families=study.families,
        figures=FIGURES,
        orders=config["orders"],
    script:
        "../scripts/judge_claims.py"


rule write_latex:
    """Tables for a thesis: R matrices by model and order, metrics, verdicts."""
    input:
        metrics="results/tables/metrics.csv" if "metrics" in TABLES else [],
        r_matrices="results/tables/r_matrices.csv" if "r_matrices" in TABLES else [],
        verdicts=VERDICTS,
    output:
        matrices=[latex(path, table="R matrices", **labels) for path, labels in MATRICES.items()],
        metrics_table=latex("results/latex/metrics.tex", table="metrics", model="all", order="all"),
        verdicts_table=latex("results/latex/verdicts.tex", table="verdicts", model="all", order="all"),
    log:
        "results/logs/write_latex/all.log",
    benchmark:
        "results/benchmarks/write_latex/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("write_latex.py"),
    script:
        "../scripts/write_latex.py"


rule write_chapter:
    """Question, figure, verdict: the page that the report opens with."""
    input:
        pictures=expand("results/figures/{figure}.png", figure=FIGURES),
        verdicts=VERDICTS,
    output:
        chapter="results/chapter.html",
    log:
        "results/logs/write_chapter/all.log",
    benchmark:
        "results/benchmarks/write_chapter/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("write_chapter.py"),
    script:
        "../scripts/write_chapter.py"
