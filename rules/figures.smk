"""Tables -> figures: PDF for print, PNG for the report, CSV of exactly what is drawn.

Needs: results/tables/. Makes: results/figures/. Captions and order of the report are in captions/.
"""


report: "captions/study.rst"


rule draw_figure:
    """Draw one figure from the tables it names in its source."""
    input:
        tables=lambda wildcards: expand("results/tables/{table}.csv", table=figure_tables(wildcards.figure)),
    output:
        csv=f"{FIGURE}.csv",
        pdf=f"{FIGURE}.pdf",
        png=report(
            f"{FIGURE}.png", caption="captions/figure.rst", category="Figures", labels={"figure": "{figure}"}
        ),
    log:
        "results/logs/draw_figure/{figure}.log",
    benchmark:
        "results/benchmarks/draw_figure/{figure}.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=lambda wildcards: code("draw_figure.py", "figures", wildcards.figure),
        options=entry("figures", "figure"),
        style=style(),
    script:
        "../scripts/draw_figure.py"
