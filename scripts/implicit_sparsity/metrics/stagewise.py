"""Scores by rounds: how well a run does on what it has been trained on so far, and what each stage undoes.

Read are the tables r_matrices and scores. a_k is the mean over the domains trained up to stage k of the score
after stage k, losses turned round, so that more is better. A pair (A, B) of an order: how much B's stage
costs domain A, the score before the stage less the score after it.
"""

import numpy as np

from .checkpoints import RUN
from .pairs import of_domains


def signed(frame):
    """Values so that more is better."""
    return frame["value"] * np.where(frame["higher_is_better"].astype(bool), 1.0, -1.0)


def curves(r_matrices, scores, families: dict, score: str):
    """DataFrame of a_k: model, family, method, order, seed, stage, value, stderr over groups of documents,
    n (documents), groups (of the domain that has fewest)."""
    cells = r_matrices[(r_matrices["metric"] == score) & (r_matrices["position"] > 0)]
    cells = cells[(cells["stage"] > 0) & (cells["position"] <= cells["stage"])].copy()
    cells["value"] = signed(cells)
    errors = scores.loc[scores["metric"] == score, [*RUN, "stage", "domain", "stderr", "n", "groups"]]
    cells = cells[[*RUN, "stage", "domain", "value"]].merge(errors, on=[*RUN, "stage", "domain"], how="left")
    cells["square"] = cells["stderr"] ** 2
    cells["family"] = [families.get(name, {}).get("family", name) for name in cells["method"]]
    result = cells.groupby(["model", "family", "method", "order", "seed", "stage"], sort=False).agg(
        value=("value", "mean"),
        square=("square", "sum"),
        domains=("value", "size"),
        n=("n", "sum"),
        groups=("groups", "min"),
    )
    result["stderr"] = np.sqrt(result["square"]) / result["domains"]
    return result.reset_index().drop(columns=["square", "domains"])


def best_settings(curves):
    """Of each family's sweep the setting with the best last value, mean over seeds."""
    last = curves[curves["stage"] == curves.groupby(RUN)["stage"].transform("max")]
    means = last.groupby(["model", "order", "family", "method"], sort=False)["value"].mean().reset_index()
    best = means.sort_values("value", ascending=False).drop_duplicates(["model", "order", "family"])
    return curves.merge(best[["model", "order", "method"]], on=["model", "order", "method"])


def ahead(part, method: str, against: str):
    """Of one model and order: seed, stage, value (a_k of ``method`` less that of ``against``), stderr, n,
    groups."""
    mine, theirs = (part[part["family"] == name] for name in (method, against))
    both = mine.merge(theirs, on=["seed", "stage"], suffixes=("", "_other"))
    both["value"] = both["value"] - both["value_other"]
    both["stderr"] = np.hypot(both["stderr"], both["stderr_other"])
    return both[["seed", "stage", "value", "stderr", "n", "groups"]]


def pairs(
    r_matrices, families: dict, family: str, score: str = "loss_content", covariate: str = "kl_content"
):
    """DataFrame of pairs of domains: model, order, seed, old, new, forgotten, and kl, the covariate on the
    new domain after its stage (NaN where it was not scored)."""
    members = {family, *(name for name, metadata in families.items() if metadata["family"] == family)}
    rows = r_matrices[r_matrices["method"].isin(members) & (r_matrices["position"] > 0)]
    cells = rows[rows["metric"] == score].copy()
    cells["value"] = signed(cells)
    before = cells.assign(stage=cells["stage"] + 1)[[*RUN, "stage", "domain", "value"]]
    result = cells[cells["position"] < cells["stage"]].merge(
        before, on=[*RUN, "stage", "domain"], suffixes=("", "_before")
    )
    result["forgotten"] = result["value_before"] - result["value"]
    moved = rows[(rows["metric"] == covariate) & (rows["position"] == rows["stage"])]
    result = result.merge(
        moved[[*RUN, "stage", "value"]].rename(columns={"value": "kl"}), on=[*RUN, "stage"], how="left"
    )
    result = result.rename(columns={"domain": "old", "trained_domain": "new"})
    keys = ["model", "order", "seed", "old", "new"]
    return result.groupby(keys, sort=False)[["forgotten", "kl"]].mean().reset_index()


def alike(overlaps, gradients, predictor: str, k: float) -> dict:
    """(model, pair of domains) -> how alike they are at base: ``overlap`` (IoU of the most used neurons, mean
    over layers) or ``gradient`` (disattenuated cosine, whole network)."""
    if predictor == "overlap":
        rows = overlaps[(overlaps["measure"] == "iou") & (overlaps["control"] == "")]
        rows = rows[np.isclose(rows["k"], k) & (rows["quantity"] == "signal")]
    else:
        rows = gradients[(gradients["kind"] == "all") & (gradients["quantity"] == "disattenuated")]
    rows = of_domains(rows)
    rows = rows[(rows["checkpoint"] == "base") & (rows["domain_a"] != rows["domain_b"])]
    means = rows.groupby(["model", "domain_a", "domain_b"])["value"].mean()
    return {(model, frozenset((a, b))): float(value) for (model, a, b), value in means.items()}
