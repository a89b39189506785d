"""How far a trained checkpoint has moved from the base model and from the stage before: one drift store."""

from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job


def measure_drift(
    store, model, tokens, base, domains, checkpoint, options, adapter, previous=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint) on the reference documents of all domains.

    tokens: token folders, one a domain; adapter, previous: folders of the stage and of the one before it.
    """
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import representation_drift, representations
    from implicit_sparsity.storage.store import write_store

    shards = dict(zip(domains, map(Tokens, tokens), strict=True))
    references = {
        domain: representations.reference(
            shard.split("probe_a"), shard.index["special_ids"], options, shard.folder
        )
        for domain, shard in shards.items()
    }
    networks = {"base": None, **({"previous": previous} if previous else {}), "tuned": adapter}
    seen = {
        which: representation_drift.visit(model, folder, base, references, options["batch_tokens"])
        for which, folder in networks.items()
    }
    metadata = {"tokens_sha256": identity.digest({domain: shard.index for domain, shard in shards.items()})}
    title = "Drift of {model} at {checkpoint}"
    attrs = identity.attributes(title, model, name, checkpoint, options, code, "measure_drift", **metadata)
    write_store(store, *representation_drift.as_store(seen, references, options["directions"]), attrs)


if __name__ == "__main__":
    job.run(measure_drift, snakemake)
