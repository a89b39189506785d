"""Are large language models implicitly sparse, and can that stop them forgetting?

What is studied is said in config.yaml, where it runs in slurm/. `snakemake -c2 all` makes every table and figure.
"""

import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/scripts")

from implicit_sparsity.workflow.config.error import one_line
from implicit_sparsity.workflow.config.files import read_strictly

one_line(read_strictly)(
    "config.yaml"
)  # before Snakemake does, whose reading of broken YAML ends in a traceback


configfile: "config.yaml"


include: "rules/patches.smk"
include: "rules/common.smk"
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
    localrule: True
