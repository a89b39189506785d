"""A fixed task learned from the base model and from trained ones; rank and dormant neurons by layer.

Rows of panels are models; columns the learning curve, the effective rank and the dormant share. Lines are
the base model and the last stage of each method.
"""

from dataclasses import dataclass

from implicit_sparsity.metrics import checkpoints
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

PANELS = {
    "curve": ("step", "loss (nats per token)"),
    "effective_rank": ("layer", "effective rank"),
    "dormant_share": ("layer", "dormant share"),
}
CEILING = {"color": "#777777", "linestyle": (0, (1, 1)), "marker": None}


@dataclass
class Plasticity(Figure):
    """Mean and range over tasks (curve) or domains (by layer), of all runs of a method."""

    TABLES = ("plasticity",)

    tau: float = option(
        0.1,
        low=0,
        below=1,
        of="probes.plasticity_task.tau",
        help="dormant: mean |h| at most this share of the layer's",
    )

    def frame(self, tables):
        table = checkpoints.last_stages(checkpoints.of_runs(tables["plasticity"]))
        dormant = (table["measure"] == "dormant_share") & (abs(table["tau"] - self.tau) > 1e-9)
        table = table[table["measure"].isin(PANELS) & ~dormant]
        table = table[table["quantity"].isin(["signal", "ceiling"])]
        table["x"] = table["step"].where(table["measure"] == "curve", table["layer"])
        table.loc[table["quantity"] == "ceiling", "method"] = "ceiling"
        return base.spread(table, ["model", "revision", "measure", "method", "x"], units="units")

    def draw(self, frame):
        plot_styles = styles(ordered(set(frame["method"]) - {"ceiling"}))
        figure, cells = base.grid(frame, "measure", PANELS, label="", across="", height=1.75, extra=0.6)
        for ax, measure, part in cells:
            for method, look in base.apart(plot_styles):
                line = part[part["method"] == method]
                base.line(ax, line, look, x="x", band=0.15, every=6, gid=method)
            for value in part.loc[part["method"] == "ceiling", "mean"]:
                ax.axhline(value, **CEILING)
            across, what = PANELS[measure]
            ax.set_title(what, loc="left")
            ax.set_xlabel(across)
            ax.set_ylim(bottom=0)
            base.whole_numbers(ax)
        handles = [*base.handles(plot_styles), base.handle("largest rank of the sample", **CEILING)]
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        tasks = frame[(frame["measure"] == "curve") & (frame["method"] == "base")]
        documents = frame.loc[frame["measure"] != "curve", "units"]
        return (
            f"{words.origin_note(frame)}Trained models after their last stage. Learning of "
            f"n = {words.span(tasks['units'])} random pairs by a fresh LoRA, {words.span(tasks['n'])} tasks; "
            f"line: mean, band: lowest to highest over tasks. By layer: n = {words.span(documents)} "
            f"documents of a domain, band: lowest to highest over domains; dormant: mean |h| at "
            f"most {self.tau:g} of the layer's mean."
        )
