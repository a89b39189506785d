"""Forgetting against learning: what learned nothing forgets nothing, so both are always shown together."""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option
from implicit_sparsity.statistics import mean_range

IDEAL = {"marker": "*", "markersize": 9, "color": "0.45", "linestyle": "none"}


@dataclass
class ForgettingLearning(Figure):
    """A point per method: learned gain over the base model (x), Chaudhry's forgetting (y)."""

    TABLES = ("metrics",)

    score: str = option("loss", help="score whose metrics are drawn: loss, acc, ...")

    def frame(self, tables):
        import pandas as pd

        table = tables["metrics"]
        table = table[table["score"] == self.score]
        by = ["model", "order", "method", "score"]
        axes = {"learned_gain": "learned", "forgetting": "forgotten"}
        found = [
            mean_range(table[table["metric"] == metric], by).rename(
                columns={"mean": name, "low": f"{name}_low", "high": f"{name}_high", "n": f"{name}_n"}
            )
            for metric, name in axes.items()
        ]
        return pd.merge(*found, on=by, how="inner")

    def draw(self, frame):
        cells = list(frame[["model", "order"]].drop_duplicates().itertuples(index=False, name=None))
        methods = base.ordered(frame["method"])
        looks = base.styles(methods)
        columns = min(len(cells), 3)
        rows = -(-len(cells) // columns)
        width = base.COLUMN + 0.5 if columns == 1 else base.WIDTH
        figure, axes = base.panels(rows, columns, height=2.5, width=width, extra=0.75)
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        orders = {order for _, order in cells}
        for ax, (model, order) in zip(axes.flat, cells):
            part = frame[(frame["model"] == model) & (frame["order"] == order)]
            self._panel(ax, part, looks)
            ax.set_title(base.readable(model) + (f", order {order}" if len(orders) > 1 else ""), loc="left")
        unit = {"loss": "nats/token"}.get(self.score, base.readable(self.score))
        for ax in axes[:, 0]:
            ax.set_ylabel(f"forgotten ({unit})")
        for ax in axes[-1]:
            ax.set_xlabel(f"learned ({unit})")
        note = (
            "Learned: mean improvement on a domain just after its own stage, against the base model. "
            "Forgotten: mean drop from its best stage to the last one, all domains but the last. "
            + base.seeds_note(frame[["learned_n", "forgotten_n"]].to_numpy().ravel())
        )
        handles = [base.handle(base.readable(m), **(looks[m] | {"linestyle": "none"})) for m in methods]
        base.annotate(figure, note, [*handles, base.handle("ideal corner", **IDEAL)])
        return figure

    @staticmethod
    def _panel(ax, part, looks):
        for row in part.itertuples():
            ax.errorbar(
                row.learned,
                row.forgotten,
                xerr=[[row.learned - row.learned_low], [row.learned_high - row.learned]],
                yerr=[[row.forgotten - row.forgotten_low], [row.forgotten_high - row.forgotten]],
                **(looks[row.method] | {"linestyle": "none"}),
                markersize=6,
                elinewidth=0.8,
            )
        ax.axhline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.axvline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.margins(0.22)
        # Learns everything, forgets nothing: outside the data, in the corner itself.
        ax.plot([1], [0], transform=ax.transAxes, clip_on=False, zorder=5, **IDEAL)
