"""Collect what every training stage recorded: learning curves, and one row per stage."""

import json
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import job

KEYS = ("model", "method", "order", "seed", "stage", "domain")
CURVE = ("step", "loss", "loss_content")


def collect_stages(curves: str, stages: str, adapters: list[str], protection: str | None = None) -> None:
    """Write ``curves`` (a row per logged step) and ``stages`` (a row per stage, its record flattened with
    dots).

    protection: table of the probe of that name, where the study makes it. adapters: stage folders with
    ``stage.json`` (key ``study`` names the stage) and ``learning_curve.csv``.
    Raises InputError for a folder without them, for a damaged one, and for a stage given twice.
    """
    import pandas as pd

    from implicit_sparsity.storage import tables

    protection_of = protection_columns(tables.read_table(protection, empty=True)) if protection else {}
    records, steps, seen = [], [], {}
    for folder in job.listed(adapters):
        record = read_stage(folder)
        identity = {key: record[key] for key in KEYS}
        if tuple(identity.values()) in seen:
            raise InputError(f"the same stage as {seen[tuple(identity.values())]}", path=folder)
        seen[tuple(identity.values())] = folder
        records.append(record | protection_of.get((record["model"], Path(folder).name), {}))
        curve = tables.read_table(f"{folder}/learning_curve.csv", needs=CURVE)
        for position, key in enumerate(KEYS):
            curve.insert(position, key, identity[key])
        steps.append(curve)
    tables.write_table(curves, pd.concat(steps, ignore_index=True))
    tables.write_table(stages, pd.DataFrame(records))


def protection_columns(table) -> dict:
    """(model, checkpoint) -> {protection.<kind>.<measure>_<inputs>: value}: of all layers and all old domains
    together, of all weights ("all") and of each kind; and protection.n_<inputs>, protection.groups_<inputs>.
    """
    table = table[(table["layer"] == -1) & (table["domain"].isna() | (table["domain"] == ""))]
    result: dict = {}
    for row in table.to_dict("records"):
        column = f"protection.{row['kind']}.{row['measure']}_{row['inputs']}"
        counts = {f"protection.{name}_{row['inputs']}": row[name] for name in ("n", "groups")}
        result.setdefault((row["model"], row["checkpoint"]), {}).update({column: row["value"]} | counts)
    return result


def read_stage(folder) -> dict:
    """The record of one stage as a flat row: the keys of ``study`` first and bare, all others with dots."""
    path = f"{folder}/stage.json"
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        study = record.pop("study")
        identity = {key: study[key] for key in KEYS}
    except (OSError, ValueError) as error:
        raise InputError(f"not a stage record in JSON ({error})", path=path) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not the record of a stage (no {error})", path=path) from error
    return identity | flatten(record)


def flatten(value, name: str = "") -> dict:
    """Nested mappings as one: ``{"a": {"b": 1}}`` -> ``{"a.b": 1}``; a list stays in its cell as JSON."""
    if isinstance(value, dict):
        flat = {}
        for key, inner in value.items():
            flat |= flatten(inner, f"{name}.{key}" if name else str(key))
        return flat
    return {name: json.dumps(value) if isinstance(value, list) else value}


if __name__ == "__main__":
    job.run(collect_stages, snakemake)
