"""One streaming pass of a checkpoint over both probe halves of a domain: one activation store."""

from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job


def measure_activations(
    store, model, tokens, base, domain, checkpoint, options, adapter=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint, domain); the same number of tokens in each half and
    domain."""
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import activations
    from implicit_sparsity.models import adapters, ffn
    from implicit_sparsity.storage.store import write_store

    network = adapters.load_checkpoint(model, adapter, base)
    shards, blocks = Tokens(tokens), ffn.feed_forwards(network)
    halves = []
    for half in ("a", "b"):
        split = shards.split(f"probe_{half}")
        bar = job.progress(f"{domain} {half}")
        halves.append(
            activations.measure_half(
                network, blocks, split, shards.index["special_ids"], options, bar, tokens
            )
        )
    metadata = {"domain": domain, "tokens_sha256": identity.digest(shards.index)}
    attrs = identity.attributes(
        activations.TITLE, model, name, checkpoint, options, code, "measure_activations", **metadata
    )
    write_store(store, *activations.as_store(halves, blocks, options), attrs)


if __name__ == "__main__":
    job.run(measure_activations, snakemake)
