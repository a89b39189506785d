"""Per-document gradients of a checkpoint on both probe halves of a domain, sketched: one gradient store."""

from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job


def measure_gradients(
    store, model, tokens, base, domain, checkpoint, options, adapter=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint, domain); the same number of documents in each half."""
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import gradient_sketches
    from implicit_sparsity.models import adapters
    from implicit_sparsity.storage.store import write_store

    network = adapters.load_checkpoint(model, adapter, base)
    shards, rank = Tokens(tokens), options["rank"]
    sketcher = gradient_sketches.GradientSketcher(
        network, rank, options["dim"], options["gradient_checkpointing"]
    )
    halves = []
    for half in ("a", "b"):
        split, bar = shards.split(f"probe_{half}"), job.progress(f"{domain} {half}")
        halves.append(gradient_sketches.measure_half(sketcher, split, options["documents"], bar, tokens))
    metadata = {"domain": domain, "tokens_sha256": identity.digest(shards.index)}
    title = "Sketched gradients of {model} ({checkpoint}) on {domain}"
    attrs = identity.attributes(
        title, model, name, checkpoint, options, code, "measure_gradients", **metadata
    )
    write_store(store, *gradient_sketches.as_store(halves, sketcher.names, rank), attrs)


if __name__ == "__main__":
    job.run(measure_gradients, snakemake)
