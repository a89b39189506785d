"""Compare methods at equal learning: fronts of forgetting against learning, tests, and the noise floor."""

from implicit_sparsity.workflow import job

KEYS = ("model", "order", "score")
BUDGET = ("trainable", "tokens")
NORM = "update_norm_since_base"


def compare_methods(comparisons: str, fronts: str, evals: list[str], stages: str, families, options, orders):
    """Write ``comparisons`` (a row per family and what it is compared with) and ``fronts`` (a row per point).

    evals: evaluation files with the scores of every document; stages: table of collect_stages; families:
    method -> {family, role, of, point}; options: of the config's ``comparisons``; orders: name -> domains.
    """
    import pandas as pd

    from implicit_sparsity.metrics import comparison_columns, method_comparison, score_names
    from implicit_sparsity.metrics.runs import read
    from implicit_sparsity.storage import tables

    scores = tuple(options["margins"])
    runs = read(job.listed(evals), (*scores, method_comparison.COVARIATE))
    budgets = read_budgets(stages)
    compared, points = [], []
    for model, evaluated in runs.items():
        for order, domains in orders.items():
            for score in scores:
                entrants = entrants_of(evaluated, families, order, domains, score, budgets.get(model, {}))
                if not entrants:
                    continue
                key = dict(zip(KEYS, (model, order, score)))
                groups = evaluated.groups_of(domains, score)
                margin = options["margins"][score]
                comparison = method_comparison.Comparison(entrants, options, margin, groups)
                unit = {"unit": score_names.unit(score)}
                compared += [key | row | unit for row in method_comparison.comparison_rows(comparison)]
                points += [key | row | unit for row in method_comparison.front_rows(comparison)]
    columns = [*KEYS, *comparison_columns.COMPARED]
    tables.write_table(comparisons, pd.DataFrame(compared, columns=columns))
    columns = [*KEYS, "family", "role", "of", *comparison_columns.POINTS, "unit"]
    tables.write_table(fronts, pd.DataFrame(points, columns=columns))


def entrants_of(evaluated, families, order, domains, score, budgets) -> dict:
    """family -> Entrant of those that have a run in this order; none where base has no such score."""
    import numpy as np

    from implicit_sparsity.metrics import fronts, method_comparison

    base, result, members = evaluated.base(domains, score), {}, {}
    for method, metadata in families.items():
        if base is not None and evaluated.seeds(method, order):
            members.setdefault(metadata["family"], []).append(method)
    seeds = sorted({seed for names in members.values() for m in names for seed in evaluated.seeds(m, order)})
    for family, methods in members.items():
        runs = [[evaluated.run(m, order, seed, domains, score) for seed in seeds] for m in methods]
        arrays = [np.array([[run[j] for run in row] for row in runs]) for j in range(len(domains))]
        sign = 1.0 if evaluated.better[score] else -1.0
        result[family] = method_comparison.Entrant(
            {key: families[methods[0]][key] for key in ("family", "role", "of")},
            methods,
            fronts.Family(base, arrays, sign),
            np.array([newest_divergence(evaluated, m, order, seeds, domains) for m in methods]),
            *(np.array([budgets.get((m, order), {}).get(name, np.nan) for m in methods]) for name in BUDGET),
            [families[m]["point"] for m in methods],
            np.array([budgets.get((m, order), {}).get("update_norm", np.nan) for m in methods]),
        )
    return result


def newest_divergence(evaluated, method, order, seeds, domains) -> float:
    """Mean over stages and seeds of KL(base || tuned) on the domain just trained; NaN where not measured."""
    import numpy as np

    from implicit_sparsity.metrics import fronts, method_comparison

    score = method_comparison.COVARIATE
    if evaluated.base(domains, score) is None:
        return float("nan")
    runs = [evaluated.run(method, order, seed, domains, score) for seed in seeds]
    values = [np.mean([x[j].mean() for j, x in enumerate(run)]) for run in runs]
    return float(fronts.mean_of_known(np.array(values), axis=0))


def read_budgets(path) -> dict:
    """model -> (method, order) -> {trainable: the most of any stage; means over seeds: tokens of a run,
    update_norm}."""
    from implicit_sparsity.storage import tables

    columns = {"trainable": "audit.trainable_parameters", "tokens": "training.tokens"}
    table = tables.read_table(path, needs=("model", "method", "order", "seed"))
    result: dict = {}
    for (model, method, order), part in table.groupby(["model", "method", "order"]):
        place = result.setdefault(model, {}).setdefault((method, order), {})
        if columns["trainable"] in part:
            place["trainable"] = float(part[columns["trainable"]].max())
        if columns["tokens"] in part:
            place["tokens"] = float(part.groupby("seed")[columns["tokens"]].sum().mean())
        if NORM in part:
            last = part["stage"] == part.groupby("seed")["stage"].transform("max")
            place["update_norm"] = float(part.loc[last, NORM].mean())
    return result


if __name__ == "__main__":
    job.run(compare_methods, snakemake)
