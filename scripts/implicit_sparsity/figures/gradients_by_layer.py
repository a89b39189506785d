"""How far gradients of two domains point the same way, by layer and kind of weight: with null and ceiling.

Rows of panels are models, columns kinds of weights.
"""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

KINDS = ("attention", "deltanet", "ffn", "experts", "shared_expert", "router")
LOOKS = {
    "disattenuated": {"color": "#009E73", "linestyle": (0, (5, 1, 1, 1)), "marker": "s"},
    "ceiling": base.TRIPLE["ceiling"],
    "signal": base.TRIPLE["signal"],
}
LABELS = {
    "disattenuated": "between, without noise",
    "ceiling": "within a domain (ceiling)",
    "signal": "between domains, raw",
}
NULL = "floor_d_eff"


@dataclass
class GradientsByLayer(Figure):
    """Mean and range of the cosines over pairs of domains (between) and over domains (within), per layer."""

    TABLES = ("gradient_overlap",)

    checkpoint: str = option("base", help="checkpoint whose gradients are compared")

    def frame(self, tables):
        table = tables["gradient_overlap"]
        table = table[(table["measure"] == "cosine") & (table["checkpoint"] == self.checkpoint)]
        own = table["domain_a"] == table["domain_b"]
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        shown = (own & (table["quantity"] == "ceiling")) | (~own & table["quantity"].isin([*LABELS, NULL]))
        table = table[shown & (table["kind"].isin(KINDS)) & ~(~own & (table["quantity"] == "ceiling"))]
        by = ["model", "revision", "checkpoint", "kind", "quantity", "layer"]
        grouped = table.dropna(subset=["value"]).groupby(by, sort=False)
        columns = grouped["value"].agg(mean="mean", low="min", high="max", n="count")
        return columns.join(grouped["n"].max().rename("documents")).reset_index()

    def draw(self, frame):
        models = list(frame["model"].unique())
        kinds = [kind for kind in KINDS if (frame["kind"] == kind).any()]
        figure, axes = base.panels(
            len(models), len(kinds), height=1.75, extra=0.55, sharex="row", sharey="row"
        )
        for row, model in zip(axes, models):
            for ax, kind in zip(row, kinds):
                part = frame[(frame["model"] == model) & (frame["kind"] == kind)]
                if part.empty:
                    ax.set_axis_off()
                    continue
                self._panel(ax, part)
                ax.set_title(base.readable(kind), loc="left")
            row[0].set_ylabel(f"{base.readable(model, 22)}\ncosine")
        for column in axes.T:  # below the lowest panel that there is
            [ax for ax in column if ax.axison][-1].set_xlabel("layer")
        handles = [base.handle(label, **LOOKS[name]) for name, label in LABELS.items()]
        handles.append(base.handle("random directions", color="#000000", alpha=0.25, linewidth=5))
        base.annotate(figure, self._note(frame), handles)
        return figure

    @staticmethod
    def _panel(ax, part):
        from matplotlib.ticker import MaxNLocator

        null = part[part["quantity"] == NULL].sort_values("layer")
        ax.fill_between(null["layer"], -null["mean"], null["mean"], color="#000000", alpha=0.25, linewidth=0)
        for quantity, look in LOOKS.items():
            line = part[part["quantity"] == quantity].sort_values("layer")
            ax.plot(line["layer"], line["mean"], **look, markevery=max(1, len(line) // 8), gid=quantity)
            ax.fill_between(
                line["layer"], line["low"], line["high"], color=look["color"], alpha=0.18, linewidth=0
            )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))

    def _note(self, frame):
        most = frame.groupby("quantity")["n"].max()
        return (
            f"{base.origin_note(frame)}Checkpoint {self.checkpoint}. Line: mean; band: lowest to highest "
            f"over {most.get('signal', 0)} pairs of domains (between) and {most.get('ceiling', 0)} domains "
            "(within). Grey: mean absolute cosine of random directions of the documents' effective "
            f"dimension, both signs. n = {base.span(frame['documents'])} documents of a domain; raw cosines "
            "and ceiling are between halves of them."
        )
