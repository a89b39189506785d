"""How many input dimensions the domains take up in a base model, one after another: one store."""

from implicit_sparsity import artifacts, job


def measure_capacity(store, model, tokens, base, domains, orders, options, name=None, code=""):
    """Write the Zarr store of a model; ``tokens``: token folders of ``domains``; orders: name -> domains."""
    import numpy as np

    from implicit_sparsity import capacity, ffn, models, second_moments
    from implicit_sparsity.store import write_store
    from implicit_sparsity.tokens import Tokens

    network = models.load(model, **models.settings(base))
    layers = capacity.layers_of(len(ffn.feed_forwards(network)), options["layers"])
    found = {half: {} for half in "ab"}
    for domain, folder in zip(domains, tokens, strict=True):
        shards = Tokens(folder)
        for half, moments in found.items():
            split, special = shards.split(f"probe_{half}"), shards.index["special_ids"]
            moments[domain] = second_moments.measure(network, layers, split, special, options, folder)
    arrays, coords = second_moments.used(found, orders, options["energy"])
    about = {"domain": "", "orders": orders}
    about |= {"tokens_sha256": artifacts.digest([Tokens(folder).index for folder in tokens])}
    title = "Input dimensions of {model} in use"
    attrs = artifacts.attributes(title, model, name, "base", options, code, "measure_capacity", **about)
    write_store(store, arrays, coords | {"layer": np.array(layers)}, attrs)


if __name__ == "__main__":
    job.run(measure_capacity, snakemake)
