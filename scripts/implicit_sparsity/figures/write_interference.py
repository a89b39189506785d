"""Where stages wrote, by layer: on hubs, on old domains' neurons, on the new one's, on idle ones.

Rows of panels are models, columns sets of neurons; lines are methods, beside the null: what a set gets where
a stage's energy is permuted among the neurons of a layer.
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import checkpoints
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

SETS = {"hubs": "hubs", "old": "old domains' top", "new": "the new domain's top", "idle": "idle"}
NULLS = {
    "permuted": ("permuted (null)", {"color": "#000000", "linestyle": (0, (1, 1)), "marker": None}),
    "weights": ("share of weights before", {"color": "#777777", "linestyle": (0, (5, 1.5)), "marker": None}),
}


@dataclass
class WriteInterference(Figure):
    """Share of ||dW||^2 of the feed-forward layers in each set: mean and range over stages, by method."""

    TABLES = ("write_interference",)
    EMPTY = "no trained stage in this study"

    write: str = option(
        "increment",
        choices=("increment", "total"),
        help="what each stage added, or all stages together, after the last of each run",
    )

    def frame(self, tables):
        table = tables["write_interference"]
        table = checkpoints.of_runs(table[(table["write"] == self.write) & (table["layer"] >= 0)])
        if self.write == "total":
            table = checkpoints.last_stages(table)
        table["set"] = table["set"].where(table["set"] != "top", table["role"])
        table = table[table["set"].isin(SETS) & (table["k"] == table["k"].max())]
        table = table[table["quantity"].isin(["signal", *NULLS])]
        table.loc[table["quantity"] != "signal", "method"] = ""
        by = ["model", "revision", "set", "quantity", "method", "k", "top", "layer"]
        frame = base.spread(table, by, units="documents").set_index(by)
        frame.update(table[table["quantity"] == "permuted"].groupby(by)[["low", "high"]].mean())
        return frame.reset_index()

    def draw(self, frame):
        names = [name for name in SETS if (frame["set"] == name).any()]
        plot_styles = styles(ordered(set(frame["method"]) - {""}))
        lines = [("signal", method, look) for method, look in plot_styles.items()]
        lines += [(null, "", look) for null, (_, look) in NULLS.items()]
        most = frame.groupby("model")["high"].max()
        size = {"height": 1.75, "extra": 0.6, "sharex": "row", "sharey": "row"}
        figure, cells = base.grid(frame, "set", names, "share of ||dW||²", **size)
        for ax, name, part in cells:
            for quantity, method, look in lines:
                line = part[(part["quantity"] == quantity) & (part["method"] == method)]
                base.line(ax, line, look, band=0.15, gid=f"{quantity}{method}")
            base.whole_numbers(ax)
            ax.set_ylim(0, 1.05 * most[part["model"].iloc[0]])
            ax.set_title(SETS[name], loc="left")
        handles = base.handles(plot_styles) + [base.handle(label, **look) for label, look in NULLS.values()]
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        most = frame[frame["quantity"] == "signal"].groupby("set")["n"].max()
        what = "What each stage added" if self.write == "increment" else "All stages of a run together"
        size = words.size_of_set(frame["k"].iloc[0])
        return (
            f"{words.origin_note(frame)}{what}. Line: mean; band: lowest to highest over stages, runs and, "
            f"of old domains, domains (up to {most.max()} values); of the null: 95 % of the ways to deal a "
            f"stage's energy to a layer's neurons, mean over stages. Sets: the {size} "
            f"({words.span(frame['top'])} neurons a layer) by mean |h| of the base on "
            f"n = {words.span(frame['documents'])} documents of all domains, in {words.grouped(frame)} each; "
            "hubs are in the set of every domain, idle neurons in none."
        )
