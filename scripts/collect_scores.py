"""Collect every evaluation into one long table of scores."""

import json

from implicit_sparsity.errors import InputError
from implicit_sparsity.workflow import job

KEYS = ("model", "method", "order", "seed", "stage", "domain")


def collect_scores(scores: str, evals: list[str]) -> None:
    """Write ``scores``: a row per model, method, order, seed, stage, domain and metric.

    evals: evaluation JSON files, each with the key ``study`` (its identity, and per metric value, stderr
    over groups of documents, n, groups and higher_is_better). ``trusted``: groups enough for that error.
    Raises InputError for a file that is no such JSON and for an evaluation given twice.
    """
    import pandas as pd

    from implicit_sparsity.storage import tables

    rows, seen = [], {}
    for path in job.listed(evals):
        result = read_scores(path)
        identity = tuple(result[0][key] for key in KEYS)
        if identity in seen:
            raise InputError(f"the same evaluation as {seen[identity]}", path=path)
        seen[identity] = path
        rows += result
    frame = pd.DataFrame(rows).astype({"seed": "Int64", "stage": "Int64"})
    tables.write_table(scores, frame)


def read_scores(path) -> list[dict]:
    """The rows of one evaluation file."""
    from implicit_sparsity.metrics import clusters

    try:
        with open(path, encoding="utf-8") as file:
            study = json.load(file)["study"]
        identity = {key: study[key] for key in KEYS}
        rows = [
            identity
            | {"metric": metric, "value": score["value"], "stderr": score.get("stderr"), "n": score.get("n")}
            | {"groups": score["groups"], "trusted": clusters.trusted(score["groups"])}
            | {"higher_is_better": bool(score["higher_is_better"])}
            for metric, score in sorted(study["metrics"].items())
        ]
    except (OSError, ValueError) as error:
        raise InputError(f"not an evaluation in JSON ({error})", path=path) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not an evaluation of a study (no {error})", path=path) from error
    if not rows:
        raise InputError("an evaluation without metrics", path=path)
    return rows


if __name__ == "__main__":
    job.run(collect_scores, snakemake)
