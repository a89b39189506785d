"""Loss of a checkpoint on half b of a domain while small activations are zero: one store of losses."""

from pathlib import Path

from implicit_sparsity import artifacts, job
from implicit_sparsity.errors import InputError
from implicit_sparsity.files import read_json


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
    from implicit_sparsity import adapters, calibration, ffn, thresholding
    from implicit_sparsity.store import open_store, write_store
    from implicit_sparsity.tokens import Tokens

    network = adapters.load_checkpoint(model, adapter, base)
    blocks, manifest = ffn.feed_forwards(network), read_json(Path(model) / "manifest.json")
    weights, calibrations = artifacts.digest(manifest["files"]), {}
    for place, path in enumerate(stores):
        found = open_store(path, ("tokens", "histogram", "sum_abs"), ("routed_tokens",))
        about, made = found.attrs, calibration.calibrate(found, weights, blocks, path)
        if options["per"] == "expert" and blocks[0].experts:
            shards = Tokens(calibrating[place])
            split, special = shards.split(f"probe_{calibration.HALF}"), shards.index["special_ids"]
            size = options["batch_tokens"]
            made = calibration.by_expert(network, blocks, made, split, special, about["options"], size)
        calibrations[about["domain"]] = made
    if domain not in calibrations:
        raise InputError(f"no store of {domain} among those that calibrate", path=stores[0])
    documents = thresholding.choose(Tokens(tokens).split("probe_b"), options["documents"], tokens)
    bar = artifacts.progress(f"{domain} b, thresholds")
    found = thresholding.measure(network, documents, domain, calibrations, options, bar, tokens)
    attrs = {
        "title": f"Losses of {name or Path(model).name} ({checkpoint}) on {domain}, activations set to zero",
        "model": name or Path(model).name,
        "revision": manifest["revision"],
        "model_sha256": weights,
        "checkpoint": checkpoint,
        "domain": domain,
        "calibrated_at": about["checkpoint"],
        "tokens_sha256": artifacts.digest(Tokens(tokens).index),
        "passes": len(thresholding.conditions(domain, calibrations, options)),
        "options": options,
        "code": code,
        "versions": artifacts.versions(),
        "command": "snakemake: rule measure_thresholds",
    }
    arrays, coords = thresholding.as_store(found, documents, domain, calibrations, options)
    write_store(store, arrays, coords, attrs)


if __name__ == "__main__":
    job.run(measure_thresholds, snakemake)
