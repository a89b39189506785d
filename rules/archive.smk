"""A finished study -> one file: results, config, code, Snakemake's notes, checksums, an RO-Crate. And back.

Needs: all results, made by the code and the config as they are. Makes: the file that `archive.path` names, of which
Snakemake knows nothing: whether it is up to date is asked when it is written. `make restore` needs no rule.
"""


rule archive:
    """Write the finished study into one file: `snakemake archive`. Nothing is run for it; a study with jobs left is refused."""
    log:
        "results/logs/archive/all.log",
    localrule: True
    conda:
        "../envs/archive.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        code=code("archive.py"),
        options=config.get("archive", {}),
        run=RUN,
        snakefile=workflow.main_snakefile,
        study=study.given,
    script:
        "../scripts/archive.py"
