"""Are large language models implicitly sparse, and can that stop them forgetting?

What is studied is said in config.yaml, where it runs in slurm/. `snakemake -c2 all` makes every table and figure.
"""

from snakemake.utils import min_version

min_version("9.27")


include: "rules/validation.smk"


configfile: "config.yaml"


include: "rules/optional.smk"
include: "rules/references.smk"
include: "rules/common.smk"
include: "rules/ancient.smk"
include: "rules/corpora.smk"
include: "rules/models.smk"
include: "rules/probes.smk"
include: "rules/adapters.smk"
include: "rules/export.smk"
include: "rules/evals.smk"
include: "rules/plan.smk"
include: "rules/figures.smk"
include: "rules/verdicts.smk"
include: "rules/archive.smk"


rule all:
    """Every table, figure and verdict of the study."""
    default_target: True
    input:
        tables=expand("results/tables/{table}.csv", table=TABLES),
        figures=expand("results/figures/{figure}.{ending}", figure=FIGURES, ending=("pdf", "png", "csv")),
        verdicts=[VERDICTS, *LATEX, "results/chapter.html"],


localrules:
    all,
