"""How alike the routing of two domains is, by layer: between domains, against its floor and its ceiling.

Rows of panels are the mixtures of experts that were measured, columns measures.
"""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

TITLES = {
    "iou": "expert sets (IoU)",
    "weighted_jaccard": "weighted Jaccard",
    "jensen_shannon_bits": "divergence (bits)",
    "normalised_information": "information on domain",
}
LABELS = {"ceiling": "within a domain", "signal": "between domains", "floor": "experts renamed at random"}


@dataclass
class RoutingByLayer(Figure):
    """Mean and range over pairs of domains (between) and over domains (within), per layer."""

    TABLES = ("routing_overlap",)

    checkpoint: str = option("base", help="checkpoint whose routing is compared")
    measures: tuple = option(
        ("iou", "weighted_jaccard", "jensen_shannon_bits"), choices=tuple(TITLES), help="measures to draw"
    )

    def frame(self, tables):
        table = tables["routing_overlap"]
        table = table[(table["checkpoint"] == self.checkpoint) & table["measure"].isin(self.measures)]
        own = table["domain_a"] == table["domain_b"]
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        table = table[own | table["quantity"].isin(["signal", "floor"])].dropna(subset=["value"])
        by = [
            "model",
            "revision",
            "checkpoint",
            "measure",
            "k",
            "top",
            "experts",
            "active",
            "tokens",
            "score",
        ]
        grouped = table.groupby([*by, "quantity", "layer"], sort=False, dropna=False)["value"]
        return grouped.agg(mean="mean", low="min", high="max", n="count").reset_index()

    def draw(self, frame):
        models = list(frame["model"].unique())
        found = frame[["measure", "top"]].drop_duplicates().itertuples(index=False)
        shown = sorted(found, key=lambda pair: (self.measures.index(pair[0]), pair[1]))
        figure, axes = base.panels(len(models), len(shown), height=1.9, extra=0.5, sharex="row", sharey="col")
        for row, model in zip(axes, models):
            for ax, (measure, top) in zip(row, shown):
                part = frame[
                    (frame["model"] == model) & (frame["measure"] == measure) & (frame["top"] == top)
                ]
                if part.empty:
                    ax.set_axis_off()
                    continue
                self._panel(ax, part)
                sets = f", top {top:.0f}" if measure == "iou" else ""
                ax.set_title(f"{TITLES[measure]}{sets}", loc="left")
            experts = frame.loc[frame["model"] == model, ["active", "experts"]].iloc[0]
            row[0].set_ylabel(f"{base.readable(model, 22)}\n({experts.iloc[0]} of {experts.iloc[1]} experts)")
        for ax in axes[-1]:
            ax.set_xlabel("layer")
        for ax in axes[0]:
            ax.set_ylim(-0.02, 1.02)
        handles = [base.handle(LABELS[quantity], **look) for quantity, look in base.TRIPLE.items()]
        base.annotate(figure, self._note(frame), handles)
        return figure

    @staticmethod
    def _panel(ax, part):
        from matplotlib.ticker import MaxNLocator

        for quantity, look in base.TRIPLE.items():
            line = part[part["quantity"] == quantity].sort_values("layer")
            ax.plot(line["layer"], line["mean"], **look, markevery=max(1, len(line) // 8), gid=quantity)
            ax.fill_between(
                line["layer"], line["low"], line["high"], color=look["color"], alpha=0.22, linewidth=0
            )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))

    def _note(self, frame):
        most = frame.groupby("quantity")["n"].max()
        return (
            f"{base.origin_note(frame)}Checkpoint {self.checkpoint}. Line: mean; band: lowest to highest "
            f"over {most.get('signal', 0)} pairs of domains (between, random) and "
            f"{most.get('ceiling', 0)} domains (within). Experts by {frame['score'].iloc[0]}; "
            f"n = {base.span(frame['tokens'])} tokens per half of a domain. "
            "Of the divergence, less is more alike."
        )
