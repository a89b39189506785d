"""How the loss grows as activations are set to zero, and whose neurons a domain needs.

A row of panels is a model. Left: a curve per domain over the share that is zero, with the tolerance and the
critical points; how far another attention kernel moves these is in the note. Right: the loss on a domain
(column) with the mask of another (row) and with a random one.
"""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import styles

from . import base
from .base import Figure

TICKS = (-1, -0.1, -0.01, 0, 0.01, 0.1, 1, 10, 100)  # increase of the loss, as a share
TOKENS = {"content": "content tokens", "completion": "tokens of the completion", "all": "all tokens"}
KEEP = ("model", "revision", "checkpoint", "measure", "domain_a", "domain_b", "level", "realised", "quantity")


@dataclass
class CriticalSparsity(Figure):
    """Increase of the loss over the share of zeros, and the matrix of masks across domains."""

    TABLES = ("critical_sparsity",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose losses are drawn")
    tokens: str = option("content", choices=("content", "completion", "all"), help="of which the losses are")
    level: float = option(0.5, low=0, below=1, of="probes.thresholds.cross", help="level of the masks")

    def frame(self, tables):
        table = tables["critical_sparsity"]
        table = table[(table["checkpoint"] == self.checkpoint) & (table["tokens"] == self.tokens)]
        curve = (table["measure"] == "curve") & (table["quantity"] == "ratio")
        mask = (table["measure"] == "cross_mask") & (table["level"].sub(self.level).abs() < 1e-9)
        shown = curve | (table["measure"] == "critical_sparsity") | (mask & (table["quantity"] != "sep"))
        result = table.loc[shown, [*KEEP, "value", "low", "high", "n", "groups", "tolerance"]].reset_index(
            drop=True
        )
        increase = result["measure"] != "critical_sparsity"
        result.loc[increase, ["value", "low", "high"]] -= 1  # increase of the loss, as a share of dense
        return result

    def draw(self, frame):
        models = list(frame["model"].unique())
        rows = frame.loc[frame["measure"] == "cross_mask", "domain_a"].nunique() or 4
        height = max(2.15, 0.55 + 0.24 * rows)
        figure, axes = base.panels(len(models), 2, height, extra=0.55, width_ratios=(1.35, 1))
        plot_styles = styles(sorted(frame["domain_b"].unique()))
        for row, model in zip(axes, models):
            part = frame[frame["model"] == model]
            self._curves(row[0], part, plot_styles)
            row[0].set_ylabel(f"{words.readable(model, 22)}\nincrease of the loss")
            self._matrix(row[1], part[part["measure"] == "cross_mask"])
        axes[0, 0].set_title("thresholds of the domain itself", loc="left")
        axes[-1, 0].set_xlabel("share of activations that is zero")
        base.annotate(figure, self._note(frame), base.handles(plot_styles))
        return figure

    @staticmethod
    def _curves(ax, part, plot_styles):
        tolerance = part["tolerance"].iloc[0]
        part = part[part["quantity"] != "numerical"]
        curve, critical = (part[part["measure"] == name] for name in ("curve", "critical_sparsity"))
        for i, (name, look) in enumerate(plot_styles.items()):
            line = curve[curve["domain_b"] == name].sort_values("level")
            base.line(ax, line, look | {"marker": None}, x="realised", y="value", band=0, gid=name)
            for end in ("low", "high"):  # four bands over each other would be brown
                thin = {"color": look["color"], "linewidth": 0.4, "alpha": 0.8}
                ax.plot(line["realised"], line[end], **thin, gid=f"{end} of {name}")
            apart = tolerance * (1 + 0.35 * ((len(plot_styles) - 1) / 2 - i))
            for point in critical[critical["domain_b"] == name].itertuples():
                reach = base.reach(point.value, point.low, point.high)
                ax.errorbar(point.value, apart, xerr=reach, **look | {"linestyle": "none"}, capsize=2)
        ax.axhline(tolerance, color="#000000", linewidth=0.6, linestyle=(0, (1, 1)), zorder=0)
        ax.set_yscale("symlog", linthresh=2 * tolerance)
        low, high = min(ax.get_ylim()[0], -tolerance), max(ax.get_ylim()[1], 3 * tolerance)
        ticks = [tick for tick in TICKS if low <= tick <= high]
        ax.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        ax.set(xlim=(0, 1), ylim=(low, high))

    def _matrix(self, ax, part):
        if part.empty:
            ax.set_axis_off()
            return
        tested = list(part["domain_b"].unique())
        makers = [*tested, *(name for name in part["domain_a"].unique() if name not in tested)]
        most = max(part["value"].max(), 0.1)  # what is less is pale
        for cell in part.itertuples():
            depth = min(max(cell.value / most, 0.0), 1.0) if cell.value == cell.value else 0.0
            shade = (1 - 0.85 * depth, 1 - 0.55 * depth, 1 - 0.3 * depth)
            x, y = tested.index(cell.domain_b), makers.index(cell.domain_a)
            base.cell(ax, x, y, shade, percent(cell.value))
        names = (list(map(words.readable, domains)) for domains in (makers, tested))
        base.matrix(ax, *names, rotation=30, ha="right")
        ax.set(xlabel="loss on", ylabel="neurons of")
        ax.set_title(f"increase in %, {100 * self.level:g} % masked", loc="left")

    def _note(self, frame):
        tolerance = 100 * frame["tolerance"].iloc[0]
        kernel = frame.loc[frame["quantity"] == "numerical", "value"].max()
        moved = f"Another attention kernel moves it by up to {kernel:.2g}. " if kernel == kernel else ""
        return (
            f"{words.origin_note(frame)}Checkpoint {self.checkpoint}, {TOKENS[self.tokens]}. Left: loss "
            f"against the dense network's; dotted: {tolerance:g} %; markers: critical sparsity, one above "
            f"the other about that line. {moved}Thin lines and bars: 95 % over groups of documents "
            f"({words.span(frame['groups'])} of a domain). "
            "Right: only the neurons that the row's domain uses most are kept, or as many drawn at random; "
            f"losses on the column's documents. n = {words.span(frame['n'])} documents of a domain, none of "
            "which made a threshold or a mask."
        )


def percent(value: float) -> str:
    """A share in percent, with a decimal below 10."""
    decimals = 0 if abs(value) >= 0.1 else 1
    return f"{round(100 * value, decimals) + 0.0:.{decimals}f}"
