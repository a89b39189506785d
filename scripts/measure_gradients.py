"""Per-document gradients of a checkpoint on both probe halves of a domain, sketched: one gradient store."""

from implicit_sparsity import artifacts, job


def measure_gradients(
    store, model, tokens, base, domain, checkpoint, options, adapter=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint, domain); the same number of documents in each half."""
    from implicit_sparsity import adapters, sketches
    from implicit_sparsity.store import write_store
    from implicit_sparsity.tokens import Tokens

    network = adapters.load_checkpoint(model, adapter, base)
    shards, rank = Tokens(tokens), options["rank"]
    sketcher = sketches.GradientSketcher(network, rank, options["dim"], options["gradient_checkpointing"])
    halves = []
    for half in ("a", "b"):
        split, bar = shards.split(f"probe_{half}"), artifacts.progress(f"{domain} {half}")
        halves.append(sketches.measure_half(sketcher, split, options["documents"], bar, tokens))
    about = {"domain": domain, "tokens_sha256": artifacts.digest(shards.index)}
    title = "Sketched gradients of {model} ({checkpoint}) on {domain}"
    attrs = artifacts.attributes(title, model, name, checkpoint, options, code, "measure_gradients", **about)
    write_store(store, *sketches.as_store(halves, sketcher.names, rank), attrs)


if __name__ == "__main__":
    job.run(measure_gradients, snakemake)
