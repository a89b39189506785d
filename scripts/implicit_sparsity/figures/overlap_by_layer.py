"""Overlap of the most used neurons per layer: between domains, against its floor and its ceiling.

Rows of panels are models (and checkpoints, where several are asked for), columns top-k sizes.
"""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

LOOKS = base.TRIPLE | {"floor_hub": {"color": "#999999", "linestyle": (0, (3, 1, 1, 1)), "marker": None}}


@dataclass
class OverlapByLayer(Figure):
    """Mean and range of the IoU over pairs of domains (signal) and over domains (ceiling), per layer."""

    TABLES = ("activation_overlap",)

    checkpoint: str = option("base", help="checkpoint whose activations are compared")
    control: str = option(
        "", choices=("", "bare", "matched"), help="draw a control instead; empty: as the model is used"
    )

    def frame(self, tables):
        table = tables["activation_overlap"]
        table = table[(table["measure"] == "iou") & (table["checkpoint"] == self.checkpoint)]
        table = table[table["control"] == self.control]
        own = table["domain_a"] == table["domain_b"]
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        table = table[own | table["quantity"].isin(["signal", "floor", "floor_hub"])].dropna(subset=["value"])
        by = ["model", "checkpoint", "k", "top", "neurons", "tokens", "quantity", "layer"]
        grouped = table.groupby(by, sort=False)["value"]
        return grouped.agg(mean="mean", low="min", high="max", n="count").reset_index()

    def draw(self, frame):
        models, sizes = list(frame["model"].unique()), sorted(frame["k"].unique())
        figure, axes = base.panels(
            len(models), len(sizes), height=1.75, extra=0.45, sharex="row", sharey=True
        )
        for row, model in zip(axes, models):
            for ax, k in zip(row, sizes):
                part = frame[(frame["model"] == model) & (frame["k"] == k)]
                if part.empty:
                    ax.set_axis_off()
                    continue
                self._panel(ax, part)
                share = f"top {k:.0f}" if k >= 1 else f"top {100 * k:g} % ({part['top'].iloc[0]:.0f})"
                ax.set_title(share, loc="left")
            row[0].set_ylabel(f"{base.readable(model, 22)}\nIoU")
        for ax in axes[-1]:
            ax.set_xlabel("layer")
        axes[0, 0].set_ylim(-0.02, 1.02)
        base.annotate(
            figure, self._note(frame), [base.handle(_label(q), **look) for q, look in LOOKS.items()]
        )
        return figure

    @staticmethod
    def _panel(ax, part):
        from matplotlib.ticker import MaxNLocator

        for quantity, look in LOOKS.items():
            line = part[part["quantity"] == quantity].sort_values("layer")
            ax.plot(line["layer"], line["mean"], **look, markevery=max(1, len(line) // 8), gid=quantity)
            if quantity in ("signal", "ceiling"):
                ax.fill_between(
                    line["layer"], line["low"], line["high"], color=look["color"], alpha=0.22, linewidth=0
                )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))

    def _note(self, frame):
        most = frame.groupby("quantity")["n"].max()
        tokens = sorted(frame["tokens"].unique())
        budget = f"{tokens[0]:,.0f}" if len(tokens) == 1 else f"{tokens[0]:,.0f} to {tokens[-1]:,.0f}"
        control = f" Control: {self.control}." if self.control else ""
        return (
            f"Checkpoint {self.checkpoint}.{control} Line: mean; band: lowest to highest over "
            f"{most.get('signal', 0)} pairs of domains (between) and "
            f"{most.get('ceiling', 0)} domains (within). "
            f"n = {budget} tokens per half of a domain; in brackets: neurons in a set."
        )


def _label(quantity):
    names = {"ceiling": "within a domain (ceiling)", "signal": "between domains", "floor": "chance (floor)"}
    names["floor_hub"] = "hubs alone (floor)"
    return names[quantity]
