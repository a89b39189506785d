"""Collect one source of one domain: checked records and a manifest."""

from implicit_sparsity.corpora.collect import collect
from implicit_sparsity.workflow import job


def collect_source(documents, manifest, domain, source, options):
    """``options``: the config's entry of the source, and ``seed``."""
    collect(documents, manifest, domain, source, options)


if __name__ == "__main__":
    job.run(collect_source, snakemake)
