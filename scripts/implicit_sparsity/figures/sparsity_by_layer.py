"""Sparsity of feed-forward activations per layer and domain, per token and per domain side by side."""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import styles

from . import base
from .base import Figure

TITLES = {
    "zero_share": "per token: exactly zero",
    "below_share": "per token: below {} max|h|",
    "hoyer": "per domain: Hoyer",
    "gini": "per domain: Gini",
    "participation_ratio": "per domain: participation ratio",
    "top_p_share": "per domain: share with {:.0%} of l1",
}


@dataclass
class SparsityByLayer(Figure):
    """One column of panels per measure, one row per model, one line per domain."""

    TABLES = ("activation_sparsity",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose activations are described")
    measures: tuple[str, ...] = option(
        ("below_share", "gini", "top_p_share"),
        choices=("zero_share", "below_share", "hoyer", "gini", "participation_ratio", "top_p_share"),
        help="measures to draw, a panel for each of their parameters",
    )

    def frame(self, tables):
        table = tables["activation_sparsity"]
        table = table[(table["checkpoint"] == self.checkpoint) & table["measure"].isin(self.measures)]
        by = ["model", "checkpoint", "measure", "parameter", "domain", "layer"]
        grouped = table.dropna(subset=["value"]).groupby(by, sort=False, dropna=False)
        columns = {"mean": ("value", "mean"), "low": ("value", "min"), "high": ("value", "max")}
        return grouped.agg(
            **columns, n=("value", "count"), tokens=("tokens", "sum"), groups=("groups", "min")
        ).reset_index()

    def draw(self, frame):
        models, domains = list(frame["model"].unique()), list(frame["domain"].unique())
        pairs = frame[["measure", "parameter"]].drop_duplicates().sort_values(["measure", "parameter"])
        shown = [(m, p) for name in self.measures for m, p in pairs.itertuples(index=False) if m == name]
        columns = min(len(shown), 3)
        bands = -(-len(shown) // columns)
        figure, axes = base.panels(len(models) * bands, columns, height=1.6, extra=0.35)
        plot_styles = styles(domains)
        for ax in axes.flat:
            ax.set_axis_off()
        for i, model in enumerate(models):
            for j, (measure, parameter) in enumerate(shown):
                ax = axes[i * bands + j // columns, j % columns]
                ax.set_axis_on()
                same = frame["parameter"].eq(parameter) | (
                    frame["parameter"].isna() & (parameter != parameter)
                )
                self._panel(
                    ax, frame[(frame["model"] == model) & (frame["measure"] == measure) & same], plot_styles
                )
                ax.set_title(TITLES[measure].format(parameter), loc="left")
                if j % columns == 0:
                    ax.set_ylabel(words.readable(model, 20))
        note = (
            f"Checkpoint {self.checkpoint}. Mean of the two halves of a domain; band: the two halves. "
            f"n = {words.span(frame['tokens'])} tokens per domain, "
            f"each half in {words.grouped(frame)} of documents."
        )
        base.annotate(figure, note, base.handles(plot_styles))
        return figure

    @staticmethod
    def _panel(ax, part, plot_styles):
        for i, (domain, look) in enumerate(plot_styles.items()):
            line = part[part["domain"] == domain]
            marks = base.own_marks(i, len(plot_styles), len(line))
            base.line(ax, line, look, band=0.25, every=marks, markersize=3.2)
        low, high = ax.get_ylim()
        room = max(0.0, 0.2 - (high - low)) / 2  # no axis so short that noise looks like a trend
        ax.set_ylim(low - room, high + room)
        base.whole_numbers(ax)
        ax.set_xlabel("layer")
