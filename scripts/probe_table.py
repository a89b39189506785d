"""Measure with one probe: the stores of all models and checkpoints in, one long table out."""

from implicit_sparsity import job


def probe_table(table: str, stores: list[str], probe: str, options: dict | None = None) -> None:
    """Write ``table``: a row per model, checkpoint, layer, domain or pair of domains, and measure.

    stores: paths of activation stores, in the order in which domains shall appear; options: of the probe's
    class. One checkpoint's stores are in memory at a time, and of them only the variables that the probe
    reads.
    """
    import pandas as pd

    from implicit_sparsity import probes, store, tables
    from implicit_sparsity.errors import InputError

    measurement = probes.load(probe, **(options or {}))
    groups = {}
    for path in [stores] if isinstance(stores, str) else stores:
        about = store.open_store(path, variables=()).attrs
        try:
            key, domain = (about["model"], about["checkpoint"]), about["domain"]
        except KeyError as error:
            raise InputError(f"the store does not say which {error} it is of", path=path) from None
        if domain in groups.setdefault(key, {}):
            raise InputError(f"a second store of {'.'.join(key)} for {domain}", path=path)
        groups[key][domain] = path
    rows = []
    for (model, checkpoint), paths in groups.items():
        datasets = {
            domain: store.open_store(path, measurement.variables(), optional=("routed_tokens",))
            for domain, path in paths.items()
        }
        same_weights(datasets, paths)
        rows += [{"model": model, "checkpoint": checkpoint, **row} for row in measurement.rows(datasets)]
    tables.write_table(table, pd.DataFrame(rows))


def same_weights(datasets, paths) -> None:
    """Stores of one checkpoint must come from the same weights: refuse a store left over from others."""
    from implicit_sparsity.errors import InputError

    found = {}
    for domain, dataset in datasets.items():
        found.setdefault((dataset.attrs.get("revision"), dataset.attrs.get("model_sha256")), domain)
    if len(found) > 1:
        first, second, *_ = found.values()
        raise InputError(f"measured on other weights than the store of {first}", path=paths[second])


if __name__ == "__main__":
    job.run(probe_table, snakemake)
