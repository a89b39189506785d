"""What predicts how much a stage costs an earlier domain: overlap and gradients before, or the KL after?"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import score_names, stagewise
from implicit_sparsity.metrics.inference import rank_correlation
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import styles

from . import base
from .base import Figure

PANELS = {
    "overlap": "neuron overlap at base (IoU)",
    "gradient": "gradient cosine at base",
    "kl": "KL on the new domain (content)",
}


@dataclass
class Predictors(Figure):
    """Forgetting of ordered pairs of domains over each predictor, mean over runs; a row of panels a model."""

    TABLES = ("r_matrices", "fronts")
    OPTIONAL = ("activation_overlap", "gradient_overlap")
    FIRST_STAGE = 2
    EMPTY = "no pair of domains is trained one after the other by this method"

    method: str = option("lora", of="methods", help="whose forgetting is predicted")
    k: float = option(
        0.1,
        size="neurons",
        of="probes.activation_overlap.k",
        help="of overlap: size of the sets",
    )
    score: str = option("loss_content", of="scores", help="of which forgetting is")

    def frame(self, tables):
        families = {row.method: {"family": row.family} for row in tables["fronts"].itertuples()}
        pairs = stagewise.pairs(tables["r_matrices"], families, self.method, self.score)
        means = pairs.groupby(["model", "old", "new"], sort=False)[["forgotten", "kl"]].mean()
        means["runs"] = pairs.groupby(["model", "old", "new"], sort=False).size()
        means = means.reset_index()
        for predictor, name in (("overlap", "activation_overlap"), ("gradient", "gradient_overlap")):
            result = {}
            if name in tables:
                result = stagewise.alike(
                    tables.get("activation_overlap"), tables.get("gradient_overlap"), predictor, self.k
                )
            keys = [(row.model, frozenset((row.old, row.new))) for row in means.itertuples()]
            means[predictor] = [result.get(key, np.nan) for key in keys]
        keys = ["model", "old", "new", "forgotten", "runs"]
        long = means.melt(keys, value_vars=list(PANELS), var_name="predictor", value_name="value")
        return long.dropna(subset=["value"]).assign(method=self.method).reset_index(drop=True)

    def nothing(self, tables):
        families = {row.method: {"family": row.family} for row in tables["fronts"].itertuples()}
        return (
            super().nothing(tables)
            or stagewise.pairs(tables["r_matrices"], families, self.method, self.score).empty
        )

    def draw(self, frame):
        cost = f"a stage's cost\n({score_names.axis(self.score)})"
        figure, cells = base.grid(frame, "predictor", PANELS, label=cost, across="", height=1.9, extra=0.6)
        plot_styles = styles(sorted(frame["old"].unique()))
        for ax, predictor, part in cells:
            for old, points in part.groupby("old", sort=False):
                ax.plot(
                    points["value"],
                    points["forgotten"],
                    **(plot_styles[old] | {"linestyle": "none"}),
                    gid=old,
                )
            rho = rank_correlation(part["value"], part["forgotten"])
            ax.set_title(f"{PANELS[predictor]}\nrank correlation {rho:.2f}", loc="left")
            ax.axhline(0, color="0.35", linewidth=0.7, zorder=1)
        pairs = len(frame[["model", "old", "new"]].drop_duplicates())
        note = (
            f"A point per ordered pair of domains (marker: the old domain), n = {pairs} pairs, mean of "
            f"{words.span(frame['runs'])} runs of {words.readable(frame['method'].iloc[0])}. "
            "Cost: the old domain's score before the new domain's stage less the score after it."
        )
        handles = [
            base.handle(words.readable(n), **(look | {"linestyle": "none"}))
            for n, look in plot_styles.items()
        ]
        base.annotate(figure, note, handles)
        return figure
