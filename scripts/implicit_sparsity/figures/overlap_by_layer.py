"""Overlap of the most used neurons per layer: between domains, against its floor and its ceiling.

Beside it what single sources give, of one domain and of two, at fewer tokens than whole domains. Rows of
panels are models (and checkpoints, where several are asked for), columns top-k sizes.
"""

from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.metrics import pairs
from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import OF_SOURCES, SOURCES, TRIPLE

from . import base
from .base import Figure

STYLES = TRIPLE | {"floor_hub": {"color": "#999999", "linestyle": (0, (3, 1, 1, 1)), "marker": None}}
LABELS = {"ceiling": "within a domain (ceiling)", "signal": "between domains", "floor": "chance (floor)"}
LABELS["floor_hub"] = "hubs alone (floor)"
STYLES |= SOURCES
LABELS |= OF_SOURCES


@dataclass
class OverlapByLayer(Figure):
    """Mean and range of the IoU over pairs of domains (signal) and over domains (ceiling), per layer."""

    TABLES = ("activation_overlap",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose activations are compared")
    control: str = option(
        "",
        choices=("", "bare", "matched"),
        of="probes.activations.controls",
        besides=("",),
        help="draw a control instead, which base alone has; empty: as the model is used",
    )

    ONLY: ClassVar[dict] = {"checkpoint": {"control": {"bare": ("base",), "matched": ("base",)}}}

    def frame(self, tables):
        table = tables["activation_overlap"]
        table = table[(table["measure"] == "iou") & (table["checkpoint"] == self.checkpoint)]
        table = table[table["control"] == self.control]
        table = pairs.lines(table, "signal")
        own = (table["domain_a"] == table["domain_b"]) & (table["quantity"] == "ceiling")
        # A pair's ceiling is the mean of two domains' own: drawn are the domains' own.
        table = table[own | table["quantity"].isin(set(STYLES) - {"ceiling"})]
        by = ["model", "checkpoint", "k", "top", "neurons", "tokens", "quantity", "layer"]
        return base.spread(table, by, units="documents")

    def draw(self, frame):
        size = {"height": 1.75, "extra": 0.45, "sharex": "row", "sharey": True}
        figure, cells = base.grid(frame, "k", sorted(frame["k"].unique()), "IoU", **size)
        for ax, k, part in cells:
            for quantity, look in STYLES.items():
                band = 0.22 if quantity in ("signal", "ceiling") else 0
                base.line(ax, part[part["quantity"] == quantity], look, band=band, gid=quantity)
            base.whole_numbers(ax)
            ax.set_ylim(-0.02, 1.02)
            ax.set_title(words.size_of_set(k, part["top"].iloc[0]), loc="left")
        drawn = {name: look for name, look in STYLES.items() if (frame["quantity"] == name).any()}
        base.annotate(figure, self._note(frame), base.handles(drawn, LABELS))
        return figure

    def _note(self, frame):
        most = frame.groupby("quantity")["n"].max()
        single = frame["quantity"].isin(SOURCES)
        domains, of_sources = frame[~single], frame[single]
        control = f" Control: {self.control}." if self.control else ""
        return (
            f"Checkpoint {self.checkpoint}.{control} Line: mean; band: lowest to highest over "
            f"{most.get('signal', 0)} pairs of domains (between) and "
            f"{most.get('ceiling', 0)} domains (within). "
            f"n = {words.span(domains['tokens'])} tokens per half of a domain, in {words.grouped(domains)} "
            f"of documents; in brackets: neurons in a set.{self._of_sources(of_sources)}"
        )

    def _of_sources(self, frame):
        if frame.empty:
            return ""
        return (
            f" Sources: mean over pairs, {words.span(frame['tokens'])} tokens or more per half, in "
            f"{words.grouped(frame)}; with fewer tokens all overlaps are lower."
        )
