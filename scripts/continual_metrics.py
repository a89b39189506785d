"""Arrange the scores as R matrices and compute every continual-learning metric from them."""

from implicit_sparsity import job


def continual_metrics(r_matrices: str, metrics: str, scores: str, orders: dict) -> None:
    """Write ``r_matrices`` (one row per cell, stage 0 = base model) and ``metrics`` (one row per metric).

    scores: table of collect_scores; orders: name -> domains in the order trained. Every score with at least
    one value has its cells; metrics are computed for the scores that every domain of the order has. A cell
    that was not measured is absent from r_matrices, and a metric that needs it is empty.
    """
    import pandas as pd

    from implicit_sparsity import tables

    needs = ("model", "method", "order", "seed", "stage", "domain", "metric", "value", "higher_is_better")
    frame = tables.read_table(scores, needs=needs)
    by = ["model", "method", "order", "seed", "metric"]
    runs = frame[frame["method"] != "base"].groupby(by, sort=False, dropna=False)
    cells, summary = [], []
    for key, run in runs:
        run_key = dict(zip(by, key))
        trained = domains_of(orders, run_key["order"], scores)
        base = (frame["method"] == "base") & (frame["model"] == key[0]) & (frame["metric"] == key[4])
        table = frame[base | frame.index.isin(run.index)].pivot_table(
            index="stage", columns="domain", values="value"
        )
        domains = [*trained, *sorted(set(table.columns) - set(trained))]
        table = table.reindex(index=range(len(trained) + 1), columns=domains)
        cells += long_cells(run_key, table, trained)
        if not table[trained].isna().all().any():
            better = bool(run["higher_is_better"].iloc[0])
            summary += long_metrics(run_key, table, trained, better)
    columns = [*by, "stage", "trained_domain", "domain", "position", "value", "higher_is_better"]
    better = frame.drop_duplicates("metric").set_index("metric")["higher_is_better"]
    cells = [cell | {"higher_is_better": bool(better[cell["metric"]])} for cell in cells]
    tables.write_table(r_matrices, pd.DataFrame(cells, columns=columns).astype({"seed": "Int64"}))
    columns = ["model", "method", "order", "seed", "score", "metric", "value", "higher_is_better", "formula"]
    tables.write_table(metrics, pd.DataFrame(summary, columns=columns).astype({"seed": "Int64"}))


def domains_of(orders, name, path) -> list[str]:
    """Domains of an order, as trained; InputError where the config no longer has it."""
    from implicit_sparsity.errors import InputError

    if name not in orders:
        raise InputError(f"scores of the order {name!r}, which is not in the config", path=path)
    return list(orders[name])


def long_cells(key, table, trained) -> list[dict]:
    """Measured cells of one R matrix; position: 1..T of the domain in its order, 0 where never trained."""
    return [
        key
        | {"stage": stage, "trained_domain": trained[stage - 1] if stage else "", "domain": domain}
        | {
            "position": trained.index(domain) + 1 if domain in trained else 0,
            "value": table.at[stage, domain],
        }
        for stage in table.index
        for domain in table.columns
        if table.at[stage, domain] == table.at[stage, domain]
    ]


def long_metrics(key, table, trained, higher_is_better) -> list[dict]:
    """Every metric of one R matrix [stage 0..T, domains]."""
    from implicit_sparsity import continual

    other = [domain for domain in table.columns if domain not in trained]
    values = continual.metrics(
        table[trained].iloc[1:],
        base=table[trained].iloc[0],
        higher_is_better=higher_is_better,
        general=table[other].iloc[[0, -1]] if other else None,
    )
    identity = {name: key[name] for name in ("model", "method", "order", "seed")} | {"score": key["metric"]}
    return [
        identity
        | {"metric": metric, "value": value, "higher_is_better": continual.better(metric, higher_is_better)}
        | {"formula": continual.CARDS[metric].formula}
        for metric, value in values.items()
    ]


if __name__ == "__main__":
    job.run(continual_metrics, snakemake)
