"""Tables -> figures: PDF for print, PNG for the report, CSV of exactly what is drawn.

Needs: results/tables/. Makes: results/figures/. Captions and order of the report are in captions/.
"""


report: "captions/study.rst"


rule draw_figure:
    """Draw one figure from the tables it names in its source."""
    input:
        tables=lambda w: expand("results/tables/{table}.csv", table=study.figure_tables(w.figure)),
    output:
        csv=f"{FIGURE}.csv",
        pdf=f"{FIGURE}.pdf",
        png=shown(f"{FIGURE}.png", "figure", "Figures", figure="{figure}"),
    log:
        "results/logs/draw_figure/{figure}.log",
    benchmark:
        "results/benchmarks/draw_figure/{figure}.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=lambda w: code("draw_figure.py", "figures", w.figure),
        options=entry("figures", "figure"),
        style=figure_style(),
    script:
        "../scripts/draw_figure.py"
