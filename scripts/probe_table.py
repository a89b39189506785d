"""Measure with one probe: what was measured of all models and checkpoints in, one long table out."""

from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import job

FOLDERS = ("adapters", "models")  # needs that are no stores: the probe gets the paths


def probe_table(table: str, probe: str = "", options: dict | None = None, **read: list[str] | None) -> None:
    """Write ``table``: a row per model, checkpoint, layer, domain or pair of domains, and measure.

    The column ``revision`` says what was measured; that of a model trained from scratch here begins with
    "scratch-".

    read: what the probe's ``NEEDS`` names (see ``probes.base``): paths of a measurement's stores, in the
    order in which domains shall appear; adapters: folders of stages; models: of base models, named as they
    are. options: of the probe's class. One checkpoint's stores are in memory at a time, and of them only the
    variables that the probe reads.
    """
    import pandas as pd

    from implicit_sparsity.options import load
    from implicit_sparsity.storage import tables

    measurement = load("probes", probe, **(options or {}))
    by_need = {
        need: of_runs(read.get(need)) if need == "adapters" else of_checkpoints(read.get(need))
        for need in measurement.NEEDS
        if need != "models"
    }
    folders = {Path(folder).name: folder for folder in read.get("models") or ()}
    rows = []
    for model, checkpoint in dict.fromkeys(key for need, parts in by_need.items() for key in parts):
        parts, revision = [], ""
        for need in measurement.NEEDS:
            at = "base" if need.endswith("_base") else checkpoint
            here = {"": folders[model]} if need == "models" else by_need[need].get((model, at), {})
            parts.append(here if need in FOLDERS else opened(here, *measurement.reads(need)))
            if need not in FOLDERS:
                same_weights(parts[-1], here)
                revision = next((d.attrs.get("revision", "") for d in parts[-1].values()), "") or revision
        keys = {"model": model, "revision": revision, "checkpoint": checkpoint}
        rows += [keys | row for row in measurement.table(*parts)]
    columns = ["model", "revision", "checkpoint", *measurement.COLUMNS] if measurement.COLUMNS else None
    tables.write_table(table, pd.DataFrame(rows, columns=columns))


def of_checkpoints(paths) -> dict:
    """(model, checkpoint) -> domain -> path of a store; a control is "domain.control", all domains are ""."""
    from implicit_sparsity.storage import store

    groups = {}
    for path in job.listed(paths):
        attrs = store.open_store(path, variables=()).attrs
        try:
            key = attrs["model"], attrs["checkpoint"]
        except KeyError as error:
            raise InputError(f"the store does not say which {error} it is of", path=path) from None
        domain = ".".join(filter(None, (attrs.get("domain", ""), attrs.get("control", ""))))
        if domain in groups.setdefault(key, {}):
            raise InputError(f"a second store of {'.'.join(key)} for {domain}", path=path)
        groups[key][domain] = path
    return groups


def of_runs(folders) -> dict:
    """(model, checkpoint) -> number of the stage -> its folder, of all stages up to the checkpoint."""
    runs = {}
    for path in map(Path, job.listed(folders)):
        run, stage = path.name.rsplit(".stage", 1)
        runs.setdefault((path.parent.name, run), {})[int(stage)] = path
    return {
        (model, f"{run}.stage{last}"): {stage: stages[stage] for stage in sorted(stages) if stage <= last}
        for (model, run), stages in runs.items()
        for last in sorted(stages)
    }


def opened(paths, variables, optional) -> dict:
    """domain -> store in memory."""
    from implicit_sparsity.storage import store

    return {domain: store.open_store(path, variables, optional) for domain, path in paths.items()}


def same_weights(datasets, paths) -> None:
    """Stores of one checkpoint must come from the same weights: refuse a store left over from others."""
    weights = {}
    for domain, dataset in datasets.items():
        weights.setdefault((dataset.attrs.get("revision"), dataset.attrs.get("model_sha256")), domain)
    if len(weights) > 1:
        first, second, *_ = weights.values()
        raise InputError(f"measured on other weights than the store of {first}", path=paths[second])


if __name__ == "__main__":
    job.run(probe_table, snakemake)
