"""Sources -> documents -> splits -> token shards.

Needs: installed data packages, local files or a hub, and a model's tokenizer. Makes: results/corpora/, results/tokens/,
results/tables/documents.csv.
A compute node may have no internet, so hub data sets are fetched where Snakemake runs.
"""


rule collect_source:
    """Read one data set into records of one form."""
    input:
        files=lambda w: study.source_files(w.domain, w.source),
    output:
        documents=SOURCE,
        manifest="results/corpora/{domain}/sources/{source}.manifest.json",
    log:
        "results/logs/collect_source/{domain}.{source}.log",
    benchmark:
        "results/benchmarks/collect_source/{domain}.{source}.tsv"
    wildcard_constraints:
        source=f"(?!(?:{study.hub_sources()})[.]){NAME}",
    conda:
        "../envs/corpora.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        # the loader is found by name, so it is named here
        code=lambda w: code("collect_source.py", "corpora.sources", study.loader(w.domain, w.source)),
        options=lambda w: study.source_options(w.domain, w.source),
    script:
        "../scripts/collect_source.py"


use rule collect_source as fetch_source with:
    log:
        "results/logs/fetch_source/{domain}.{source}.log",
    benchmark:
        "results/benchmarks/fetch_source/{domain}.{source}.tsv"
    wildcard_constraints:
        source=study.hub_sources(),
    localrule: True
    params:
        online=True,


rule split_domain:
    """Drop duplicates, also of earlier domains, split by group, and check eval against the rest."""
    input:
        sources=lambda w: sources_of(w.domain),
        # what two domains share stays in the one that the config names first
        earlier=lambda w: sources_of(*DOMAINS[: DOMAINS.index(w.domain)]),
    output:
        splits=directory(SPLITS),
    log:
        "results/logs/split_domain/{domain}.log",
    benchmark:
        "results/benchmarks/split_domain/{domain}.tsv"
    conda:
        "../envs/corpora.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("split_domain.py"),
        options=config["splits"],
    script:
        "../scripts/split_domain.py"


rule tokenize_domain:
    """Encode a domain's splits with one model's tokenizer."""
    input:
        # of a model only its tokenizer, which a format warm-up leaves as it is
        model=PREPARED,
        splits=SPLITS,
    output:
        tokens=directory(TOKENS),
    log:
        "results/logs/tokenize_domain/{model}.{domain}.log",
    benchmark:
        "results/benchmarks/tokenize_domain/{model}.{domain}.tsv"
    conda:
        "../envs/corpora.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("tokenize_domain.py"),
        options=config["tokens"],
    script:
        "../scripts/tokenize_domain.py"


rule collect_documents:
    """What every split holds and lost: documents, groups, lengths, what was cut, duplicates, contamination."""
    input:
        splits=expand(SPLITS, domain=DOMAINS),
        tokens=expand(TOKENS, model=MODELS, domain=DOMAINS),
    output:
        table=table("documents"),
    log:
        "results/logs/collect_documents/all.log",
    benchmark:
        "results/benchmarks/collect_documents/all.tsv"
    localrule: True
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code("collect_documents.py"),
    script:
        "../scripts/collect_documents.py"
