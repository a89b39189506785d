"""Share of the most used neurons that are hubs, by layer, against chance and meaningless domains."""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import TRIPLE

from . import base
from .base import Figure

LABELS = {
    "ceiling": "documents dealt to domains at random (ceiling)",
    "signal": "hubs: in the set of every domain",
    "floor": "chance (floor)",
}


@dataclass
class Hubs(Figure):
    """Rows of panels are models, columns sizes of the sets."""

    TABLES = ("hubs",)

    checkpoint: str = option("base", of="checkpoints", help="checkpoint whose hubs are drawn")

    def frame(self, tables):
        table = tables["hubs"]
        table = table[(table["checkpoint"] == self.checkpoint) & table["quantity"].isin(list(LABELS))]
        columns = ["model", "revision", "checkpoint", "k", "top", "domains", "neurons", "tokens", "n"]
        return table[[*columns, "groups", "quantity", "layer", "value", "low", "high"]].reset_index(drop=True)

    def draw(self, frame):
        size = {"height": 1.75, "extra": 0.5, "sharex": "row", "sharey": True}
        figure, cells = base.grid(frame, "k", sorted(frame["k"].unique()), "share of the set", **size)
        for ax, k, part in cells:
            for quantity, look in TRIPLE.items():
                line = part[part["quantity"] == quantity]
                base.line(ax, line, look, y="value", band=0.22, gid=quantity)
            base.whole_numbers(ax)
            ax.set_ylim(-0.02, 1.02)
            ax.set_title(words.size_of_set(k, part["top"].iloc[0]), loc="left")
        drawn = {q: look for q, look in TRIPLE.items() if q in set(frame["quantity"])}
        base.annotate(figure, self._note(frame), base.handles(drawn, LABELS))
        return figure

    def _note(self, frame):
        return (
            f"{words.origin_note(frame)}Checkpoint {self.checkpoint}. Neurons that are in the set of each of "
            f"{words.span(frame['domains'])} domains; band: 95 % over {words.documents(frame)} "
            f"(of the ceiling: over deals). n = {words.span(frame['tokens'])} tokens per half of a domain; "
            "in brackets: neurons in a set."
        )
