"""Encode the splits of one domain with one model's tokenizer."""

from implicit_sparsity.corpora.shards import tokenize
from implicit_sparsity.workflow import job


def tokenize_domain(tokens, model, splits, options):
    """``tokens``: the folder to make; ``options``: fields of corpora.encoding.Options."""
    tokenize(tokens, model, splits, options)


if __name__ == "__main__":
    job.run(tokenize_domain, snakemake)
