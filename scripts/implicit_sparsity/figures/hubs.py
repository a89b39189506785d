"""Share of the most used neurons that are hubs, by layer, against chance and meaningless domains."""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

LABELS = {
    "ceiling": "documents dealt to domains at random (ceiling)",
    "signal": "hubs: in the set of every domain",
    "floor": "chance (floor)",
}


@dataclass
class Hubs(Figure):
    """Rows of panels are models, columns sizes of the sets."""

    TABLES = ("hubs",)

    checkpoint: str = option("base", help="checkpoint whose hubs are drawn")

    def frame(self, tables):
        table = tables["hubs"]
        table = table[(table["checkpoint"] == self.checkpoint) & table["quantity"].isin(list(LABELS))]
        columns = ["model", "revision", "checkpoint", "k", "top", "domains", "neurons", "tokens", "n"]
        return table[[*columns, "quantity", "layer", "value", "low", "high"]].reset_index(drop=True)

    def draw(self, frame):
        models, sizes = list(frame["model"].unique()), sorted(frame["k"].unique())
        figure, axes = base.panels(len(models), len(sizes), height=1.75, extra=0.5, sharex="row", sharey=True)
        for row, model in zip(axes, models):
            for ax, k in zip(row, sizes):
                part = frame[(frame["model"] == model) & (frame["k"] == k)]
                self._panel(ax, part)
                share = f"top {k:.0f}" if k >= 1 else f"top {100 * k:g} % ({part['top'].iloc[0]:.0f})"
                ax.set_title(share, loc="left")
            row[0].set_ylabel(f"{base.readable(model, 22)}\nshare of the set")
        for ax in axes[-1]:
            ax.set_xlabel("layer")
        axes[0, 0].set_ylim(-0.02, 1.02)
        found = {q: look for q, look in base.TRIPLE.items() if q in set(frame["quantity"])}
        handles = [base.handle(LABELS[quantity], **look) for quantity, look in found.items()]
        base.annotate(figure, self._note(frame), handles)
        return figure

    @staticmethod
    def _panel(ax, part):
        from matplotlib.ticker import MaxNLocator

        for quantity, look in base.TRIPLE.items():
            line = part[part["quantity"] == quantity].sort_values("layer")
            ax.plot(line["layer"], line["value"], **look, markevery=max(1, len(line) // 8), gid=quantity)
            band = {"color": look["color"], "alpha": 0.22, "linewidth": 0}
            ax.fill_between(line["layer"], line["low"], line["high"], **band)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))

    def _note(self, frame):
        return (
            f"{base.origin_note(frame)}Checkpoint {self.checkpoint}. Neurons that are in the set of each of "
            f"{base.span(frame['domains'])} domains; band: 95 % over {base.span(frame['n'])} documents "
            f"(of the ceiling: over deals). n = {base.span(frame['tokens'])} tokens per half of a domain; "
            "in brackets: neurons in a set."
        )
