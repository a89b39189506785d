"""Arrange the scores as R matrices and compute every continual-learning metric from them."""

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.checkpoints import RUN
from implicit_sparsity.workflow import job

BY = [*RUN, "metric"]
COUNTS = ["n", "groups", "trusted"]  # documents and groups: of a cell, or of the cell that has fewest
CELLS = [*BY, "stage", "trained_domain", "domain", "position", "value", *COUNTS, "higher_is_better"]
METRICS = [*RUN, "score", "metric", "value", *COUNTS, "higher_is_better", "formula"]
COVARIATES = ("kl_content", "kl_completion")  # scores by their file, but of no quality: they have covariates,
# no metrics; the first stands beside every metric


def continual_metrics(
    r_matrices: str, metrics: str, scores: str, orders: dict, joint=(), reference=""
) -> None:
    """Write ``r_matrices`` (one row per cell, stage 0 = base model) and ``metrics`` (one row per metric).

    scores: table of collect_scores; orders: name -> domains in the order trained; joint: names of the
    methods that train on all domains at once, for intransigence; reference: the domain of ``general_delta``,
    "" for all that an order does not train. Every score with at least one value has its
    cells; metrics are computed for the scores that every domain of the order has. A cell that was not
    measured is absent from r_matrices, and a metric that needs it is empty. ``kl_newest`` of the run stands
    beside every metric.
    """
    import pandas as pd

    from implicit_sparsity.storage import tables

    needs = (*BY, "stage", "domain", "value", "higher_is_better", *COUNTS)
    frame = tables.read_table(scores, needs=needs)
    arranged = {}
    for key, run in frame[frame["method"] != "base"].groupby(BY, sort=False, dropna=False):
        rows, trained = with_base(frame, run, dict(zip(BY, key))), domains_of(orders, key[2], scores)
        arranged[key] = arrange(rows, trained), trained, rows
    cells, summary, moved = [], [], {}
    for key, (table, trained, rows) in arranged.items():
        run_key, known = dict(zip(BY, key)), counts(rows)
        better = {"higher_is_better": bool(rows["higher_is_better"].iloc[0])}
        for cell in long_cells(run_key, table, trained):
            cells.append(cell | known[cell["stage"], cell["domain"]] | better)
        if table[trained].isna().all().any():
            continue
        if key[4] in COVARIATES:
            own = long_covariates(run_key, table, trained)
            moved |= {key[:4]: own[0]["value"]} if key[4] == COVARIATES[0] else {}
        else:
            bound = joint_scores(arranged, key, joint, **better)
            other = [reference] if reference else [name for name in table.columns if name not in trained]
            own = long_metrics(run_key, table, trained, joint=bound, general=other, **better)
        of_trained = [count for (_, domain), count in known.items() if domain in trained]
        fewest = min(of_trained, key=lambda count: (count["groups"], count["n"]))
        summary += [row | fewest for row in own]
    for row in summary:
        row["kl_newest"] = moved.get(tuple(row[name] for name in RUN))
    tables.write_table(r_matrices, pd.DataFrame(cells, columns=CELLS).astype({"seed": "Int64"}))
    columns = [*METRICS, "kl_newest"]
    tables.write_table(metrics, pd.DataFrame(summary, columns=columns).astype({"seed": "Int64"}))


def arrange(rows, trained):
    """Table [stage 0..T, domains] of one run and score, ``with_base``; domains as trained, then others."""
    table = rows.pivot_table(index="stage", columns="domain", values="value")
    domains = [*trained, *sorted(set(table.columns) - set(trained))]
    return table.reindex(index=range(len(trained) + 1), columns=domains)


def counts(rows) -> dict:
    """(stage, domain) -> {n, groups, trusted} of one run and score, ``with_base``."""
    return rows.set_index(["stage", "domain"])[COUNTS].to_dict("index")


def with_base(frame, run, key):
    """The rows of one run and score, and those of its base model."""
    base = (frame["method"] == "base") & (frame["model"] == key["model"]) & (frame["metric"] == key["metric"])
    return frame[base | frame.index.isin(run.index)]


def joint_scores(arranged, key, joint, higher_is_better):
    """Last row [T] of the joint run of the same model, order, seed and score; of several, of the best one.

    None where the study has none. A joint method's own intransigence is against itself.
    """
    result = [
        table[trained].iloc[-1]
        for name in joint
        for table, trained, _ in [arranged.get((key[0], name, *key[2:]), (None, None, None))]
        if table is not None and table[trained].iloc[-1].notna().all()
    ]
    sign = 1 if higher_is_better else -1
    return max(result, key=lambda row: sign * row.mean(), default=None)


def domains_of(orders, name, path) -> list[str]:
    """Domains of an order, as trained; InputError where the config no longer has it."""
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


def long_metrics(key, table, trained, higher_is_better, joint=None, general=()) -> list[dict]:
    """Every metric of one R matrix [stage 0..T, domains]; general: the domains of ``general_delta``."""
    from implicit_sparsity.metrics import continual

    values = continual.metrics(
        table[trained].iloc[1:],
        base=table[trained].iloc[0],
        higher_is_better=higher_is_better,
        joint=joint,
        general=table.reindex(columns=general).iloc[[0, -1]] if len(general) else None,
    )
    identity = {name: key[name] for name in RUN} | {"score": key["metric"]}
    return [
        identity
        | {"metric": metric, "value": value, "higher_is_better": continual.better(metric, higher_is_better)}
        | {"formula": continual.METRIC_DOCS[metric].formula}
        for metric, value in values.items()
    ]


def long_covariates(key, table, trained) -> list[dict]:
    """How far one run has moved from base, on what it trains; the first row is the mean over stages."""
    from implicit_sparsity.metrics import continual

    identity = {name: key[name] for name in RUN} | {"score": key["metric"]}
    metadata = {"higher_is_better": False}
    return [
        identity
        | {"metric": metric, "value": value, **metadata}
        | {"formula": (continual.COVARIATES.get(metric) or continual.COVARIATES["kl_newest_<k>"]).formula}
        for metric, value in continual.divergences(table[trained].iloc[1:]).items()
    ]


if __name__ == "__main__":
    job.run(continual_metrics, snakemake)
