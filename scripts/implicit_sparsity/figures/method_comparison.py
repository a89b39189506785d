"""Methods side by side: forgetting at one learned gain for all, with intervals and the noise floor."""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

NOISE = {"color": "0.85", "linewidth": 0, "zorder": 0}
MARGIN = {"color": "0.35", "linestyle": (0, (1, 1)), "linewidth": 0.8}
COLUMNS = ["model", "order", "score", "family", "against", "learned_gain", "forgetting", "forgetting_low"]
COLUMNS += ["forgetting_high", "p_holm", "noise_sd", "margin", "points", "seeds", "n", "groups", "note"]
COLUMNS += ["kl_newest", "update_norm"]


@dataclass
class MethodComparison(Figure):
    """A forest: a row per method, the reference first, its noise floor as a band through all rows."""

    TABLES = ("comparisons",)
    EMPTY = "no trained stage in this study"

    score: str = option(
        "loss_content", of="compared scores", help="score of comparisons.margins that is compared"
    )

    def frame(self, tables):
        table = tables["comparisons"]
        first = ~table.duplicated(["model", "order", "score", "family"])  # the row against the reference
        frame = table[(table["score"] == self.score) & first][COLUMNS]
        ranks = {name: i for i, name in enumerate(ordered(frame["family"]))}
        order = frame["family"].map(ranks).mask(frame["family"] == frame["against"], -1)
        cells = (frame["model"] + "\n" + frame["order"]).map(
            {cell: i for i, cell in enumerate(dict.fromkeys(frame["model"] + "\n" + frame["order"]))}
        )
        return (
            frame.assign(cell=cells, rank=order).sort_values(["cell", "rank"])[COLUMNS].reset_index(drop=True)
        )

    def draw(self, frame):
        cells = list(frame[["model", "order"]].drop_duplicates().itertuples(index=False, name=None))
        plot_styles = styles(ordered(frame["family"]))
        columns = min(len(cells), 2)
        rows = -(-len(cells) // columns)
        most = frame.groupby(["model", "order"])["family"].nunique().max()
        figure, axes = base.panels(rows, columns, height=0.75 + 0.17 * most, extra=0.75)
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        for ax, (model, order) in zip(axes.flat, cells):
            part = frame[(frame["model"] == model) & (frame["order"] == order)]
            self._panel(ax, part, plot_styles)
            title = f"{words.readable(model, 28)}, order {words.readable(order)}"
            ax.set_title(f"{title}\nlearned {part['learned_gain'].iloc[0]:.2g}", loc="left")
        unit = score_names.axis(self.score)
        for ax in axes.flat[max(0, len(cells) - columns) : len(cells)]:
            ax.set_xlabel(f"forgotten at equal learning\n({unit})")
        base.annotate(figure, note_of(frame), handles_of(frame))
        return figure

    @staticmethod
    def _panel(ax, part, plot_styles):
        for y, row in enumerate(part.itertuples()):
            if row.forgetting != row.forgetting:
                reason = "one setting, no front" if row.points == 1 else str(row.note).split(";")[0]
                look = {"fontsize": 6, "color": "0.35", "ha": "center", "va": "center"}
                blank = {"facecolor": "white", "linewidth": 0, "pad": 1}
                ax.text(0.5, y, reason, transform=ax.get_yaxis_transform(), bbox=blank, **look)
                continue
            ax.errorbar(
                row.forgetting,
                y,
                xerr=base.reach(row.forgetting, row.forgetting_low, row.forgetting_high),
                **(plot_styles[row.family] | {"linestyle": "none"}),
                markersize=5,
                elinewidth=1.0,
            )
            if row.family == row.against and row.noise_sd == row.noise_sd:
                ax.axvspan(row.forgetting - row.noise_sd, row.forgetting + row.noise_sd, **NOISE)
        ax.axvline(0, color="0.35", linewidth=0.7, zorder=1)
        for end in (-1, 1):
            ax.axvline(end * part["margin"].iloc[0], **MARGIN, zorder=1)
        stars = [" *" if row.p_holm < 0.05 else "" for row in part.itertuples()]
        norms = [f" [{x:.2g}]" if x == x else "" for x in part["update_norm"]]
        names = [words.readable(family, 34) for family in part["family"]]
        ax.set_yticks(range(len(part)), map("".join, zip(names, stars, norms)))
        ax.set_ylim(len(part) - 0.5, -0.5)
        ax.margins(x=0.1)


def handles_of(frame) -> list:
    from matplotlib.patches import Patch

    entries = [base.handle("margin of no forgetting", **MARGIN)]
    known = frame[(frame["family"] == frame["against"])]["noise_sd"].notna().any()
    return entries + ([Patch(color=NOISE["color"], label="noise floor")] if known else [])


def note_of(frame) -> str:
    seeds = int(frame["seeds"].max())
    over = "groups and seeds" if seeds > 1 else "groups alone"
    references = ", ".join(words.readable(name) for name in sorted(set(frame["against"])))
    note = (
        f"Forgetting read off each method's front at one learned gain for all; bars: 95 % over {over} "
        f"(n = {words.span(frame['seeds'])} {'seeds' if seeds > 1 else 'seed'}, "
        f"{words.documents(frame)}). "
        f"*: differs from {references} in paired tests over groups, p < 0.05 after Holm. "
    )
    if frame["update_norm"].notna().any():
        note += "[..]: ||dW|| since the base at that gain. "
    return note + ("Noise floor: SD over seeds of the same settings." if seeds > 1 else "No noise floor.")
