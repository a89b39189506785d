"""Training loss along every stage: a column of panels per stage's domain, a line per method."""

from dataclasses import dataclass

from implicit_sparsity.metrics import score_names
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import family, ordered, styles

from . import base
from .base import Figure

TOGETHER = 12  # as many lines can be told apart; else settings and controls of a method share one


@dataclass
class LossCurves(Figure):
    """Training loss of a part of the completions against optimizer step, smoothed by a running mean that the
    note declares.

    Of more methods than can be told apart, settings and controls of one are one line: their mean and range.
    """

    TABLES = ("learning_curves",)
    EMPTY = "no trained stage in this study"

    window: int = option(
        5, low=1, help="steps of the running mean (centred); 1 draws every logged step as it is"
    )

    part: str = option(
        "content",
        choices=("content", "first", "stop", "completion", "objective"),
        help="tokens whose loss is drawn; objective: what was trained, with all that a method adds to it",
    )

    def frame(self, tables):
        column = "loss" if self.part == "objective" else f"loss_{self.part}"
        run = ["model", "order", "stage", "domain", "method", "seed"]
        table = tables["learning_curves"].dropna(subset=[column]).sort_values("step", kind="stable")
        smooth = table.groupby(run, sort=False)[column].transform(
            lambda loss: loss.rolling(self.window, center=True, min_periods=1).mean()
        )
        table = table.assign(value=smooth, runs="seeds")
        if table["method"].nunique() > TOGETHER:
            table = table.assign(method=table["method"].map(family), runs="settings")
        by = ["model", "order", "stage", "domain", "method", "runs", "step"]
        return base.spread(table, by, units="documents")

    def draw(self, frame):
        rows = list(frame[["model", "order"]].drop_duplicates().itertuples(index=False, name=None))
        stages = sorted(frame["stage"].unique())
        methods = ordered(frame["method"])
        plot_styles = styles(methods)
        figure, axes = base.panels(len(rows), len(stages), height=1.65, extra=0.35)
        for row, (model, order) in zip(axes, rows):
            for ax, stage in zip(row, stages):
                part = frame[
                    (frame["model"] == model) & (frame["order"] == order) & (frame["stage"] == stage)
                ]
                if part.empty:
                    ax.set_axis_off()
                    continue
                self._panel(ax, part, plot_styles)
                ax.set_title(f"{stage}  {words.readable(part['domain'].iloc[0])}", loc="left")
            name = model if len({name for _, name in rows}) == 1 else f"{model}, {order}"
            what = "objective" if self.part == "objective" else score_names.label(f"loss_{self.part}")
            row[0].set_ylabel(f"{words.readable(name, 22)}\n{what} (nats/token)")
        for ax in axes[-1]:
            ax.set_xlabel("optimizer step")
        smooth = "every logged step" if self.window == 1 else f"running mean of {self.window} logged steps"
        note = f"Loss of training documents, {smooth}; panels in the order of training. {runs_note(frame)}"
        base.annotate(figure, note, base.handles(plot_styles))
        return figure

    @staticmethod
    def _panel(ax, part, plot_styles):
        from matplotlib.ticker import MaxNLocator

        for i, (method, look) in enumerate(base.apart(plot_styles)):
            line = part[part["method"] == method]
            marks = base.own_marks(i, len(plot_styles), len(line))
            base.line(ax, line, look, x="step", band=0.2 if (line["n"] > 1).any() else 0, every=marks)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))


def runs_note(frame) -> str:
    """What a line is of."""
    if (frame["runs"] == "seeds").all():
        return words.seeds_note(frame["n"])
    count = words.span(frame["n"])
    return f"Settings of a method and its controls share a line: mean and range, n = {count} runs."
