"""How alike the routing of two domains is, by layer: between domains, against its floor and its ceiling.

Rows of panels are the mixtures of experts that were measured, columns measures.
"""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import TRIPLE

from . import base
from .base import Figure

TITLES = {
    "iou": "expert sets (IoU)",
    "weighted_jaccard": "weighted Jaccard",
    "jensen_shannon_bits": "divergence (bits)",
    "normalised_information": "information on domain",
}
LABELS = {"ceiling": "within a domain", "signal": "between domains", "floor": "experts renamed at random"}


@dataclass
class RoutingByLayer(Figure):
    """Mean and range over pairs of domains (between) and over domains (within), per layer."""

    TABLES = ("routing_overlap",)
    EMPTY = "no mixture of experts in this study"

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose routing is compared")
    measures: tuple[str, ...] = option(
        ("iou", "weighted_jaccard", "jensen_shannon_bits"), choices=tuple(TITLES), help="measures to draw"
    )

    def frame(self, tables):
        table = tables["routing_overlap"]
        table = table[(table["checkpoint"] == self.checkpoint) & table["measure"].isin(self.measures)]
        own = table["domain_a"] == table["domain_b"]
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        table = table[own | table["quantity"].isin(["signal", "floor"])]
        by = ["model", "revision", "checkpoint", "measure", "k", "top", "experts", "active", "tokens"]
        return base.spread(table, [*by, "score", "quantity", "layer"], units="documents")

    def draw(self, frame):
        pairs = frame[["measure", "top"]].drop_duplicates().itertuples(index=False)
        shown = sorted(pairs, key=lambda pair: (self.measures.index(pair[0]), pair[1]))
        panels = frame.assign(panel=list(map(panel, frame["measure"], frame["top"])))
        size = {"height": 1.9, "extra": 0.5, "sharex": "row", "sharey": "col"}
        figure, cells = base.grid(panels, "panel", [panel(*pair) for pair in shown], experts, **size)
        for ax, title, part in cells:
            for quantity, look in TRIPLE.items():
                base.line(ax, part[part["quantity"] == quantity], look, band=0.22, gid=quantity)
            base.whole_numbers(ax)
            ax.set_ylim(-0.02, 1.02)
            ax.set_title(title, loc="left")
        base.annotate(figure, self._note(frame), base.handles(TRIPLE, LABELS))
        return figure

    def _note(self, frame):
        most = frame.groupby("quantity")["n"].max()
        return (
            f"{words.origin_note(frame)}Checkpoint {self.checkpoint}. Line: mean; band: lowest to highest "
            f"over {most.get('signal', 0)} pairs of domains (between, random) and "
            f"{most.get('ceiling', 0)} domains (within). Experts by {frame['score'].iloc[0]}; "
            f"n = {words.span(frame['tokens'])} tokens per half of a domain, in {words.grouped(frame)} of "
            "documents. Of the divergence, less is more alike."
        )


def panel(measure, top) -> str:
    """The title of the panel that a row of the frame is drawn in."""
    return TITLES[measure] + (f", top {top:.0f}" if measure == "iou" else "")


def experts(part) -> str:
    """How many experts a model has."""
    return f"({part['active'].iloc[0]} of {part['experts'].iloc[0]} experts)"
