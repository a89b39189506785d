"""How far a trained checkpoint has moved from the base model and from the stage before: one drift store."""

from pathlib import Path

from implicit_sparsity import artifacts, job
from implicit_sparsity.files import read_json


def measure_drift(
    store, model, tokens, base, domains, checkpoint, options, adapter, previous=None, name=None, code=""
):
    """Write the Zarr store of a (model, checkpoint) on the reference documents of all domains.

    tokens: token folders, one a domain; adapter, previous: folders of the stage and of the one before it.
    """
    from implicit_sparsity import drift_stores, representations
    from implicit_sparsity.store import write_store
    from implicit_sparsity.tokens import Tokens

    shards = dict(zip(domains, map(Tokens, tokens), strict=True))
    references = {
        domain: representations.reference(
            shard.split("probe_a"), shard.index["special_ids"], options, shard.folder
        )
        for domain, shard in shards.items()
    }
    networks = {"base": None, **({"previous": previous} if previous else {}), "tuned": adapter}
    seen = {
        which: drift_stores.visit(model, folder, base, references, options["batch_tokens"])
        for which, folder in networks.items()
    }
    manifest = read_json(Path(model) / "manifest.json")
    attrs = {
        "title": f"Drift of {name or Path(model).name} at {checkpoint}",
        "model": name or Path(model).name,
        "revision": manifest["revision"],
        "model_sha256": artifacts.digest(manifest["files"]),
        "checkpoint": checkpoint,
        "tokens_sha256": artifacts.digest({domain: shard.index for domain, shard in shards.items()}),
        "options": options,
        "code": code,
        "versions": artifacts.versions(),
        "command": "snakemake: rule measure_drift",
    }
    write_store(store, *drift_stores.as_store(seen, references, options["directions"]), attrs)


if __name__ == "__main__":
    job.run(measure_drift, snakemake)
