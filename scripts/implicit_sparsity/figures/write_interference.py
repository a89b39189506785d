"""Where stages wrote, by layer: on hubs, on old domains' neurons, on the new one's, on idle ones.

Rows of panels are models, columns sets of neurons; lines are methods, beside the sets' share of parameters.
"""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

SETS = {"hubs": "hubs", "old": "old domains' top", "new": "the new domain's top", "idle": "idle"}
NULLS = {
    "floor": ("share of parameters (floor)", {"color": "#000000", "linestyle": (0, (1, 1)), "marker": None}),
    "weights": ("share of weights before", {"color": "#777777", "linestyle": (0, (5, 1.5)), "marker": None}),
}


@dataclass
class WriteInterference(Figure):
    """Share of ||dW||^2 of the feed-forward layers in each set: mean and range over stages, by method."""

    TABLES = ("write_interference",)

    write: str = option(
        "increment",
        choices=("increment", "total"),
        help="what each stage added, or all stages together, after the last of each run",
    )

    def frame(self, tables):
        table = tables["write_interference"]
        table = table[(table["write"] == self.write) & (table["layer"] >= 0)].copy()
        run = table["checkpoint"].str.rsplit(".stage", n=1, expand=True)
        table["method"] = table["checkpoint"].str.split(".").str[0]
        table["stage"] = run[1].astype(int)
        if self.write == "total":
            last = table.groupby(["model", run[0]])["stage"].transform("max")
            table = table[table["stage"] == last]
        table["set"] = table["set"].where(table["set"] != "top", table["role"])
        table = table[table["set"].isin(SETS) & (table["k"] == table["k"].max())]
        table = table[table["quantity"].isin(["signal", *NULLS])].dropna(subset=["value"])
        table.loc[table["quantity"] != "signal", "method"] = ""
        by = ["model", "revision", "set", "quantity", "method", "k", "top", "layer"]
        grouped = table.groupby(by, sort=False)
        columns = grouped["value"].agg(mean="mean", low="min", high="max", n="count")
        return columns.join(grouped["n"].max().rename("documents")).reset_index()

    def draw(self, frame):
        models = list(frame["model"].unique())
        names = [name for name in SETS if (frame["set"] == name).any()]
        looks = base.styles(base.ordered(set(frame["method"]) - {""}))
        figure, axes = base.panels(
            len(models), len(names), height=1.75, extra=0.6, sharex="row", sharey="row"
        )
        for row, model in zip(axes, models):
            for ax, name in zip(row, names):
                part = frame[(frame["model"] == model) & (frame["set"] == name)]
                if part.empty:
                    ax.set_axis_off()
                    continue
                self._panel(ax, part, looks)
                ax.set_title(SETS[name], loc="left")
            row[0].set_ylim(0, 1.05 * frame.loc[frame["model"] == model, "high"].max())
            row[0].set_ylabel(f"{base.readable(model, 22)}\nshare of ||dW||²")
        for ax in axes[-1]:
            ax.set_xlabel("layer")
        handles = [base.handle(base.readable(name), **look) for name, look in looks.items()]
        handles += [base.handle(label, **look) for label, look in NULLS.values()]
        base.annotate(figure, self._note(frame), handles)
        return figure

    @staticmethod
    def _panel(ax, part, looks):
        from matplotlib.ticker import MaxNLocator

        lines = [("signal", method, look) for method, look in looks.items()]
        lines += [(null, "", look) for null, (_, look) in NULLS.items()]
        for quantity, method, look in lines:
            line = part[(part["quantity"] == quantity) & (part["method"] == method)].sort_values("layer")
            ax.plot(
                line["layer"],
                line["mean"],
                **look,
                markevery=max(1, len(line) // 8),
                gid=f"{quantity}{method}",
            )
            ax.fill_between(
                line["layer"], line["low"], line["high"], color=look["color"], alpha=0.15, linewidth=0
            )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))

    def _note(self, frame):
        most = frame[frame["quantity"] == "signal"].groupby("set")["n"].max()
        what = "What each stage added" if self.write == "increment" else "All stages of a run together"
        k = frame["k"].iloc[0]
        size = f"top {100 * k:g} %" if k < 1 else f"top {k:.0f}"
        return (
            f"{base.origin_note(frame)}{what}. Line: mean; band: lowest to highest over stages, runs and, of "
            f"old domains, domains (up to {most.max()} values). Sets: the {size} ({base.span(frame['top'])} "
            f"neurons a layer) by mean |h| of the base on n = {base.span(frame['documents'])} documents "
            "of all domains; hubs are in the set of every domain, idle neurons in none."
        )
