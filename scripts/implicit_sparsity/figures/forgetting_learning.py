"""Forgetting against learning: what learned nothing forgets nothing, so both are always shown together."""

from dataclasses import dataclass

from implicit_sparsity.figures import base
from implicit_sparsity.figures.base import Figure, option

IDEAL = {"marker": "*", "markersize": 9, "color": "0.45", "linestyle": "none"}


@dataclass
class ForgettingLearning(Figure):
    """A front per method, a point per setting of its sweep: learned gain (x), Chaudhry's forgetting (y)."""

    TABLES = ("fronts",)
    EMPTY = "no trained stage in this study"

    score: str = option("loss", help="score whose fronts are drawn: loss, acc, ...")

    def frame(self, tables):
        table = tables["fronts"]
        table = table[(table["score"] == self.score) & table["forgetting"].notna()]
        names = {"learned_gain": "learned", "forgetting": "forgotten"}
        names |= {f"forgetting_{end}": f"forgotten_{end}" for end in ("low", "high")}
        columns = ["model", "order", "score", "family", "method", "seeds", "documents"]
        columns += [f"{axis}{end}" for axis in ("learned", "forgotten") for end in ("", "_low", "_high")]
        return table.rename(columns=names)[columns].reset_index(drop=True)

    def draw(self, frame):
        cells = list(frame[["model", "order"]].drop_duplicates().itertuples(index=False, name=None))
        families = base.ordered(frame["family"])
        looks = base.styles(families)
        columns = min(len(cells), 3)
        rows = -(-len(cells) // columns)
        width = base.COLUMN + 0.5 if columns == 1 else base.WIDTH
        figure, axes = base.panels(rows, columns, height=2.5, width=width, extra=0.75)
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        orders = {order for _, order in cells}
        for ax, (model, order) in zip(axes.flat, cells):
            self._panel(ax, frame[(frame["model"] == model) & (frame["order"] == order)], looks)
            ax.set_title(base.readable(model) + (f", order {order}" if len(orders) > 1 else ""), loc="left")
        unit = {"loss": "nats/token"}.get(self.score, base.readable(self.score))
        for ax in axes[:, 0]:
            ax.set_ylabel(f"forgotten ({unit})")
        for ax in axes[-1]:
            ax.set_xlabel(f"learned ({unit})")
        note = (
            "Learned: mean improvement on a domain just after its own stage, against the base model. "
            "Forgotten: mean drop from its best stage to the last one, all domains but the last. "
            "A line joins the settings of one method. " + intervals_note(frame)
        )
        handles = [base.handle(base.readable(name), **looks[name]) for name in families]
        base.annotate(figure, note, [*handles, base.handle("ideal corner", **IDEAL)])
        return figure

    @staticmethod
    def _panel(ax, part, looks):
        for family, points in part.groupby("family", sort=False):
            points = points.sort_values("learned")
            ax.plot(points["learned"], points["forgotten"], **(looks[family] | {"marker": None}), gid=family)
            for row in points.itertuples():
                ax.errorbar(
                    row.learned,
                    row.forgotten,
                    xerr=[[row.learned - row.learned_low], [row.learned_high - row.learned]],
                    yerr=[[row.forgotten - row.forgotten_low], [row.forgotten_high - row.forgotten]],
                    **(looks[family] | {"linestyle": "none"}),
                    markersize=5,
                    elinewidth=0.8,
                )
        ax.axhline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.axvline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.margins(0.22)
        # Learns everything, forgets nothing: outside the data, in the corner itself.
        ax.plot([1], [0], transform=ax.transAxes, clip_on=False, zorder=5, **IDEAL)


def intervals_note(frame) -> str:
    """What the intervals are over."""
    seeds, documents = int(frame["seeds"].max()), base.span(frame["documents"])
    if seeds == 1:
        return f"Bars: 95 % over documents alone, n = 1 seed, {documents} documents."
    return (
        f"Bars: 95 % over documents and seeds, n = {base.span(frame['seeds'])} seeds, {documents} documents."
    )
