"""Collect what the splits hold and what they lost into one table: a row per domain, source and split."""

from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import job


def collect_documents(table, splits, tokens):
    """Write ``table``: a row per model, domain, source (and "all"), split (and "all").

    splits: folders of splits, results/corpora/<domain>/splits; tokens: folders of token shards,
    results/tokens/<model>/<domain>.
    """
    import pandas as pd

    from implicit_sparsity.corpora import counting
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.storage import tables
    from implicit_sparsity.storage.files import read_json

    manifests = {Path(folder).parent.name: Path(folder) / "manifest.json" for folder in job.listed(splits)}
    rows = []
    for folder in job.listed(tokens):
        model, domain = Path(folder).parts[-2:]
        if domain not in manifests:
            raise InputError(f"tokens of the domain {domain!r}, whose splits are not given", folder)
        place = {"model": model, "domain": domain}
        rows += [place | row for row in counting.rows(read_json(manifests[domain]), Tokens(folder))]
    lost = ("exact_duplicates", "near_duplicates", "in_other_domains", "over_group_cap", "wrong_length")
    whole = (*lost, "contaminated")
    tables.write_table(table, pd.DataFrame(rows).astype(dict.fromkeys(whole, "Int64")))


if __name__ == "__main__":
    job.run(collect_documents, snakemake)
