"""Forgetting against learning: what learned nothing forgets nothing, so both are always shown together."""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

IDEAL = {"marker": "*", "markersize": 9, "color": "0.45", "linestyle": "none"}
OTHERS = {"marker": "o", "markersize": 2, "color": "0.75", "linestyle": "none", "zorder": 0}
TOGETHER, ACROSS = 8, 4  # as many fronts can be told apart in a panel; else a panel each, so many in a row


@dataclass
class ForgettingLearning(Figure):
    """A front per method, a point per setting of its sweep: learned gain (x), Chaudhry's forgetting (y).

    More fronts than can be told apart get a panel each, a method's controls in its own, all others grey.
    """

    TABLES = ("fronts",)
    FIRST_STAGE = 2
    EMPTY = "no trained stage in this study"

    score: str = option(
        "loss_content", of="compared scores", help="score of comparisons.margins whose fronts are drawn"
    )

    def frame(self, tables):
        table = tables["fronts"]
        table = table[(table["score"] == self.score) & table["forgetting"].notna()]
        names = {"learned_gain": "learned", "forgetting": "forgotten"}
        names |= {f"forgetting_{end}": f"forgotten_{end}" for end in ("low", "high")}
        columns = ["model", "order", "score", "family", "role", "of", "method", "seeds", "n", "groups"]
        columns += [f"{axis}{end}" for axis in ("learned", "forgotten") for end in ("", "_low", "_high")]
        return table.rename(columns=names)[columns].reset_index(drop=True)

    def draw(self, frame):
        cells = [part for _, part in frame.groupby(["model", "order"], sort=False)]
        families = ordered(frame["family"])
        plot_styles = styles(families)
        crowded = max(part["family"].nunique() for part in cells) > TOGETHER
        figure, axes = (self._apart if crowded else self._together)(frame, cells, plot_styles)
        unit = score_names.axis(self.score)
        for ax in axes[:, 0]:
            ax.set_ylabel(f"forgotten ({unit})")
        for column in axes.T:
            [ax for ax in column if ax.axison][-1].set_xlabel(f"learned ({unit})")
        note = (
            "Learned: mean improvement on a domain just after its own stage, against the base model. "
            "Forgotten: mean drop from its best stage to the last one, all domains but the last. "
            "A line joins the settings of one method. " + intervals_note(frame)
        )
        handles = (
            [] if crowded else [base.handle(words.readable(name), **plot_styles[name]) for name in families]
        )
        handles += [base.handle("all other settings", **OTHERS)] if crowded else []
        base.annotate(figure, note, [*handles, base.handle("ideal corner", **IDEAL)])
        return figure

    def _together(self, frame, cells, plot_styles):
        """A panel for each model and order, all fronts in it."""
        columns = min(len(cells), 3)
        width = base.COLUMN + 0.5 if columns == 1 else base.WIDTH
        rows = -(-len(cells) // columns)
        figure, axes = base.panels(rows, columns, height=2.5, width=width, extra=0.75)
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        for ax, part in zip(axes.flat, cells):
            self._panel(ax, part, plot_styles)
            ax.set_title(title_of(part, frame), loc="left")
        return figure, axes

    def _apart(self, frame, cells, plot_styles):
        """A panel for each method of each model and order, in the scale of all that learned anything."""
        methods = [ordered(part["of"]) for part in cells]
        rows = [-(-len(names) // ACROSS) for names in methods]
        figure, axes = base.panels(sum(rows), ACROSS, height=1.45, extra=0.6)
        for ax in axes.flat:
            ax.set_axis_off()
        for i, (part, names) in enumerate(zip(cells, methods)):
            block = axes[sum(rows[:i]) : sum(rows[: i + 1])].ravel()
            learned = part[part["learned"] > 0]
            for ax, name in zip(block, names):
                own = part[part["of"] == name]
                ax.set_axis_on()
                self._panel(ax, own, plot_styles, size=3.5, corner=IDEAL | {"markersize": 6})
                inside = learned if own["learned"].max() > 0 else own
                limit(ax, inside)
                others = part[part["of"] != name]
                ax.plot(others["learned"], others["forgotten"], **OTHERS)
                ax.set_title(words.readable(name), loc="left")
                if inside is own:
                    ax.text(0.98, 0.03, "own scale", transform=ax.transAxes, fontsize=5.5, ha="right")
                if len(own["family"].unique()) > 1:
                    roles = own.drop_duplicates("family").set_index("family")["role"]
                    shown = {f: roles[f] for f in ordered(roles.index)}
                    entries = [
                        base.handle(words.readable(role), **plot_styles[f]) for f, role in shown.items()
                    ]
                    ax.legend(handles=entries, fontsize=5, loc="upper left", frameon=False, borderaxespad=0)
            if len(cells) > 1:
                block[0].set_title(f"{title_of(part, frame)}\n{block[0].get_title(loc='left')}", loc="left")
        return figure, axes

    @staticmethod
    def _panel(ax, part, plot_styles, size=5.0, corner=IDEAL):
        for family, points in part.groupby("family", sort=False):
            points = points.sort_values("learned")
            ax.plot(
                points["learned"], points["forgotten"], **(plot_styles[family] | {"marker": None}), gid=family
            )
            for row in points.itertuples():
                ax.errorbar(
                    row.learned,
                    row.forgotten,
                    xerr=base.reach(row.learned, row.learned_low, row.learned_high),
                    yerr=base.reach(row.forgotten, row.forgotten_low, row.forgotten_high),
                    **(plot_styles[family] | {"linestyle": "none"}),
                    markersize=size,
                    elinewidth=0.16 * size,
                )
        ax.axhline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.axvline(0, color="0.35", linewidth=0.7, zorder=1)
        ax.margins(0.22)
        # Learns everything, forgets nothing: beyond the data, whole within the corner.
        ax.plot([0.96], [0.06], transform=ax.transAxes, zorder=5, **corner)


def limit(ax, frame, margin: float = 0.12) -> None:
    """Limits that hold all intervals of ``frame``, and zero."""
    for axis, name in (("x", "learned"), ("y", "forgotten")):
        ends = frame[[name, f"{name}_low", f"{name}_high"]]
        low, high = min(0.0, ends.min().min()), max(0.0, ends.max().max())
        room = margin * (high - low or 1.0)
        ax.set(**{f"{axis}lim": (low - room, high + room)})


def title_of(part, frame) -> str:
    """Model, and the order where there are several."""
    model, order = part[["model", "order"]].iloc[0]
    return words.readable(model) + (
        f", order {words.readable(order)}" if frame["order"].nunique() > 1 else ""
    )


def intervals_note(frame) -> str:
    """What the intervals are over."""
    seeds, documents = int(frame["seeds"].max()), words.documents(frame)
    if seeds == 1:
        return f"Bars: 95 % over groups alone, n = 1 seed, {documents}."
    return f"Bars: 95 % over groups and seeds, n = {words.span(frame['seeds'])} seeds, {documents}."
