"""Are large language models implicitly sparse, and can that stop them forgetting?

What is studied is said in config.yaml, where it runs in slurm/. `snakemake -c2 all` makes every table and figure.
"""

import os
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/scripts")

from implicit_sparsity.workflow import environment
from implicit_sparsity.workflow.config.error import one_line
from implicit_sparsity.workflow.config.load import load

environment.clean(os.environ)

# Before Snakemake reads config.yaml, which ends in a traceback where it is broken and prints a line where it is not.
study = one_line(load)(
    ["config.yaml", *map(str, workflow.overwrite_configfiles)],
    workflow.config_settings.config_args,
    replaced=workflow.config_settings.replace_workflow_config,
)


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
include: "rules/targets.smk"


rule all:
    """Every table, figure and verdict of the study."""
    default_target: True
    input:
        tables=expand("results/tables/{table}.csv", table=TABLES),
        figures=expand("results/figures/{figure}.{ending}", figure=FIGURES, ending=("pdf", "png", "csv")),
        verdicts=[VERDICTS, *LATEX, "results/chapter.html"],
    localrule: True
