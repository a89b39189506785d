"""One streaming pass of a checkpoint over both probe halves of a domain: one activation store."""

from pathlib import Path

from implicit_sparsity import artifacts, job
from implicit_sparsity.files import read_json


def measure_activations(
    store, model, tokens, base, domain, checkpoint, options, adapter=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint, domain); the same number of tokens in each half and
    domain."""
    from implicit_sparsity import activations, ffn, models
    from implicit_sparsity.store import write_store
    from implicit_sparsity.tokens import Tokens

    network = models.load_checkpoint(model, adapter, base)
    shards, blocks = Tokens(tokens), ffn.feed_forwards(network)
    halves = []
    for half in ("a", "b"):
        split = shards.split(f"probe_{half}")
        bar = artifacts.progress(f"{domain} {half}")
        halves.append(
            activations.measure_half(
                network, blocks, split, shards.index["special_ids"], options, bar, tokens
            )
        )
    manifest = read_json(Path(model) / "manifest.json")
    attrs = {
        "title": f"FFN activation statistics of {name or Path(model).name} ({checkpoint}) on {domain}",
        "model": name or Path(model).name,
        "revision": manifest["revision"],
        "model_sha256": artifacts.digest(manifest["files"]),
        "checkpoint": checkpoint,
        "domain": domain,
        "tokens_sha256": artifacts.digest(shards.index),
        "options": options,
        "code": code,
        "versions": artifacts.versions(),
        "command": "snakemake: rule measure_activations",
    }
    write_store(store, *activations.as_store(halves, blocks, options), attrs)


if __name__ == "__main__":
    job.run(measure_activations, snakemake)
