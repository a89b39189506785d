"""How far gradients of two domains point the same way, by layer and kind of weight: with null and ceiling.

Rows of panels are models, columns kinds of weights.
"""

from dataclasses import dataclass
from math import copysign

from implicit_sparsity.metrics import pairs
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import OF_SOURCES, SOURCES, TRIPLE

from . import base
from .base import Figure

KINDS = ("attention", "deltanet", "ffn", "experts", "shared_expert", "router")
STYLES = {
    "disattenuated": {"color": "#009E73", "linestyle": (0, (5, 1, 1, 1)), "marker": "s"},
    "ceiling": TRIPLE["ceiling"],
    "signal": TRIPLE["signal"],
    **SOURCES,
}
LABELS = {
    "disattenuated": "between, without noise",
    "ceiling": "within a domain (ceiling)",
    "signal": "between domains, raw",
    **OF_SOURCES,
}
NULL = "floor_d_eff"
EDGE = 1.1  # of the axis: a cosine divided by a ceiling near 0 may be anything


@dataclass
class GradientsByLayer(Figure):
    """Mean and range of the cosines over pairs of domains (between) and over domains (within), per layer."""

    TABLES = ("gradient_overlap",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose gradients are compared")

    def frame(self, tables):
        table = tables["gradient_overlap"]
        table = table[(table["measure"] == "cosine") & (table["checkpoint"] == self.checkpoint)]
        table = pairs.lines(table[table["kind"].isin(KINDS)], "disattenuated")
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        own = table["domain_a"] == table["domain_b"]
        drawn = table["quantity"].isin([*LABELS, NULL])
        table = table[drawn & ((table["quantity"] != "ceiling") | own)]
        by = ["model", "revision", "checkpoint", "kind", "quantity", "layer"]
        return base.spread(table, by, units="documents")

    def draw(self, frame):
        kinds = [kind for kind in KINDS if (frame["kind"] == kind).any()]
        size = {"height": 1.75, "extra": 0.55, "sharex": "row", "sharey": "row"}
        figure, cells = base.grid(frame, "kind", kinds, "cosine", **size)
        for ax, kind, part in cells:
            null = part[part["quantity"] == NULL].sort_values("layer")
            reach = null["mean"]
            ax.fill_between(null["layer"], -reach, reach, color="#000000", alpha=0.25, linewidth=0)
            for quantity, look in STYLES.items():
                base.line(
                    ax,
                    part[part["quantity"] == quantity],
                    look,
                    band=0 if quantity in SOURCES else 0.18,
                    gid=quantity,
                )
            base.whole_numbers(ax)
            ax.set_title(words.readable(kind), loc="left")
        for ax, _, part in cells:  # the panels of a row share their axis, so when all are drawn
            _limit(ax, part)
        drawn = {name: STYLES[name] for name in LABELS if (frame["quantity"] == name).any()}
        handles = base.handles(drawn, LABELS)
        handles.append(base.handle("random directions", color="#000000", alpha=0.25, linewidth=5))
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        beyond = len(_beyond(frame))
        edge = f" At the edge (carets): {beyond} means beyond {EDGE}, of noise." if beyond else ""
        most = frame.groupby("quantity")["n"].max()
        single = frame["quantity"].isin(SOURCES)
        domains, of_sources = frame[~single], frame[single]
        sources = (
            f" Sources: without noise, mean over pairs; {words.grouped(of_sources)}." if single.any() else ""
        )
        return (
            f"{words.origin_note(frame)}Checkpoint {self.checkpoint}. Line: mean; band: lowest to highest "
            f"over {most.get('signal', 0)} pairs of domains (between) and {most.get('ceiling', 0)} domains "
            "(within). Grey: mean absolute cosine of random directions of the documents' effective "
            f"dimension, both signs. n = {words.span(domains['documents'])} documents of a domain, in "
            f"{words.grouped(domains)}; raw cosines and ceiling are between halves of them.{sources}{edge}"
        )


def _beyond(part):
    return part[part["quantity"].isin(STYLES) & (part["mean"].abs() > EDGE)]


def _limit(ax, part):
    """No axis reaches past ``EDGE``; what would stand there is a caret at the edge."""
    from matplotlib.markers import CARETDOWN, CARETUP

    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -EDGE), min(high, EDGE))
    for row in _beyond(part).itertuples():
        marker = CARETUP if row.mean > 0 else CARETDOWN
        look = {"marker": marker, "color": STYLES[row.quantity]["color"], "s": 30, "linewidth": 0}
        ax.scatter(row.layer, copysign(EDGE, row.mean), zorder=3, clip_on=False, gid="beyond", **look)
