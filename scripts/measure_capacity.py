"""How many input dimensions the domains take up in a base model, one after another: one store."""

from implicit_sparsity.provenance import identity
from implicit_sparsity.workflow import job


def measure_capacity(store, model, tokens, base, domains, orders, options, name=None, code=""):
    """Write the Zarr store of a model; ``tokens``: token folders of ``domains``; orders: name -> domains."""
    import numpy as np

    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.measurements import input_spectra
    from implicit_sparsity.metrics import capacity
    from implicit_sparsity.models import ffn, loading
    from implicit_sparsity.storage.store import write_store

    network = loading.load(model, **loading.settings(base))
    layers = capacity.layers_of(len(ffn.feed_forwards(network)), options["layers"])
    result = {half: {} for half in "ab"}
    for domain, folder in zip(domains, tokens, strict=True):
        shards = Tokens(folder)
        for half, moments in result.items():
            split, special = shards.split(f"probe_{half}"), shards.index["special_ids"]
            moments[domain] = input_spectra.measure(network, layers, split, special, options, folder)
    arrays, coords = input_spectra.used(result, orders, options["energy"])
    metadata = {"domain": "", "orders": orders}
    metadata |= {"tokens_sha256": identity.digest([Tokens(folder).index for folder in tokens])}
    title = "Input dimensions of {model} in use"
    attrs = identity.attributes(title, model, name, "base", options, code, "measure_capacity", **metadata)
    write_store(store, arrays, coords | {"layer": np.array(layers)}, attrs)


if __name__ == "__main__":
    job.run(measure_capacity, snakemake)
