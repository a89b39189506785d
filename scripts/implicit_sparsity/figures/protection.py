"""What updates do to outputs on old inputs, and the share of those inputs that methods protect, by weight.

Rows of panels are models; columns the energy that is held, and the functional change on old inputs and on new
ones. Methods side by side, after their last stage.
"""

from dataclasses import dataclass

import numpy as np

from implicit_sparsity.metrics import checkpoints
from implicit_sparsity.report import words
from implicit_sparsity.report.style import ordered, styles

from . import base
from .base import Figure

PANELS = {  # panel: (measure, inputs)
    "energy held: made (dash), held out": ("energy", ("made", "held_out")),
    "change, old inputs held out": ("change", ("held_out",)),
    "change, new inputs": ("change", ("new",)),
}
KINDS = ("q", "k", "v", "o", "gate", "up", "down")


@dataclass
class Protection(Figure):
    """Energy held and ||dW x|| / ||W x|| of each kind of weight."""

    TABLES = ("protection",)
    FIRST_STAGE = 2
    EMPTY = "no stage after a first domain in this study"

    def frame(self, tables):
        table = tables["protection"]
        table = table[(table["layer"] == -1) & (table["kind"] != "all") & (table["domain"] == "")]
        table = checkpoints.last_stages(checkpoints.of_runs(table)).assign(panel="")
        for panel, (measure, inputs) in PANELS.items():
            here = (table["measure"] == measure) & table["inputs"].isin(inputs)
            table.loc[here, "panel"] = panel
        table = table[table["panel"] != ""]
        by = ["model", "revision", "panel", "inputs", "kind", "method"]
        own = table.groupby(by, sort=False)
        frame = own["value"].agg(mean="mean", lowest="min", highest="max", runs="count")
        frame = frame.join(
            own.agg(low=("low", "min"), high=("high", "max"), n=("n", "max"), groups=("groups", "min"))
        )
        several = frame["runs"] > 1
        frame["low"] = frame["lowest"].where(several, frame["low"])
        frame["high"] = frame["highest"].where(several, frame["high"])
        return frame.drop(columns=["lowest", "highest"]).reset_index()

    def draw(self, frame):
        methods = ordered(set(frame["method"]))
        plot_styles = styles(methods)
        figure, cells = base.grid(frame, "panel", PANELS, label="", across="", height=2.0, extra=0.6)
        for ax, panel, part in cells:
            kinds = [kind for kind in KINDS if (part["kind"] == kind).any()]
            kinds += sorted(set(part["kind"]) - set(KINDS))
            for place, method in enumerate(methods):
                shift = 0.7 * ((place + 0.5) / len(methods) - 0.5)
                self._points(ax, part[part["method"] == method], kinds, plot_styles[method], shift)
            ax.set_title(panel, loc="left", fontsize=7)
            ax.set_xticks(
                range(len(kinds)), [words.readable(kind) for kind in kinds], rotation=60, ha="right"
            )
            ax.set_xlim(-0.6, len(kinds) - 0.4)
            ax.set_ylim(0, 1.02 if PANELS[panel][0] == "energy" else None)
        base.annotate(figure, self._note(frame), base.handles(plot_styles))
        return figure

    def _points(self, ax, part, kinds, look, shift):
        for inputs, rows in part.groupby("inputs", sort=False):
            x = [kinds.index(kind) + shift for kind in rows["kind"]]
            reach = base.reach(rows["mean"], rows["low"], rows["high"])
            marks = look | {"linestyle": "none", "markersize": 3, "elinewidth": 0.7}
            marks |= {"marker": "_"} if inputs == "made" else {}
            ax.errorbar(x, rows["mean"], yerr=np.nan_to_num(reach), **marks)

    def _note(self, frame):
        one = frame["runs"].max() == 1
        bars = "95 % intervals over groups" if one else "lowest to highest over runs"
        return (
            f"{words.origin_note(frame)}Last stage of each run. Change: ||dW x|| / ||W x|| of what the stage "
            "changed, inputs x at the network before it; energy held: share of old domains' ||x||² that the "
            "method protects (no point: it promises nothing of inputs). "
            f"n = {words.documents(frame)}; bars: {bars}."
        )
