"""Loss of a checkpoint on half b of a domain while small activations are zero: one store of losses."""

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job


def measure_thresholds(
    store,
    model,
    tokens,
    stores,
    base,
    domain,
    checkpoint,
    options,
    adapter=None,
    calibrating=None,
    name=None,
    code="",
):
    """Write the Zarr store of a (model, checkpoint, domain).

    stores: activation stores of all domains, whose half a makes thresholds and masks; calibrating: their
    token folders, in the same order, where each expert gets a threshold of its own.
    """
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import calibration, reference_documents, thresholding
    from implicit_sparsity.models import adapters, ffn
    from implicit_sparsity.storage.store import open_store, write_store

    network = adapters.load_checkpoint(model, adapter, base)
    blocks, calibrations = ffn.feed_forwards(network), {}
    weights = identity.weights_digest(model)
    for place, path in enumerate(stores):
        result = open_store(path, ("tokens", "histogram", "sum_abs"), ("routed_tokens",))
        made = calibration.calibrate(result, weights, blocks, path)
        if options["per"] == "expert" and blocks[0].experts:
            shards = Tokens(calibrating[place])
            split, special = shards.split(f"probe_{calibration.HALF}"), shards.index["special_ids"]
            size = options["batch_tokens"]
            made = calibration.by_expert(network, blocks, made, split, special, result.attrs["options"], size)
        calibrations[result.attrs["domain"]] = made
    if domain not in calibrations:
        raise InputError(f"no store of {domain} among those that calibrate", path=stores[0])
    half, key = Tokens(tokens).split("probe_b"), "probes.thresholds.documents"
    documents = reference_documents.first_documents(half, options["documents"], key, tokens)
    bar = job.progress(f"{domain} b, thresholds")
    metadata = {"domain": domain, "calibrated_at": result.attrs["checkpoint"]}
    metadata |= {"tokens_sha256": identity.digest(Tokens(tokens).index)}
    metadata |= {"passes": len(thresholding.conditions(domain, calibrations, options))}
    losses = thresholding.measure(network, documents, domain, calibrations, options, bar, tokens)
    title = "Losses of {model} ({checkpoint}) on {domain}, activations set to zero"
    attrs = identity.attributes(
        title, model, name, checkpoint, options, code, "measure_thresholds", **metadata
    )
    arrays, coords = thresholding.as_store(losses, documents, domain, calibrations, options)
    write_store(store, arrays, coords, attrs)


if __name__ == "__main__":
    job.run(measure_thresholds, snakemake)
