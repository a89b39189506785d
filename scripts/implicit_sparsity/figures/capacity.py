"""Input dimensions of feed-forward layers in use after each domain, and by layer, beside the null.

Rows of panels are models; the left column has the number of domains on its axis, the right one the layer.
"""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.report import words
from implicit_sparsity.report.style import TRIPLE

from . import base
from .base import Figure

STYLES = {
    "used": TRIPLE["signal"],
    "null": TRIPLE["floor"] | {"marker": "v"},
    "first": TRIPLE["ceiling"],
}
LABELS = {"used": "domains so far", "null": "old domain again (floor)", "first": "first domain alone"}
PANELS = {"domains": ("mean over layers", "domains so far"), "layers": ("first domain and all", "layer")}
COLUMNS = ("model", "revision", "order", "panel", "line", "x", "value", "low", "high", "n", "groups")
COLUMNS += ("width", "tokens")


@dataclass
class Capacity(Figure):
    """Share of the width in use, mean over layers (left) and by layer after the first and the last domain."""

    TABLES = ("capacity",)

    energy: float = option(
        0.95, above=0, high=1, of="probes.input_spectra.energy", help="share of the inputs' energy"
    )
    place: str = option(
        "ffn",
        choices=("ffn", "down"),
        asks={"down": "probes.input_spectra.down"},
        help="inputs of gate and up, or of down_proj",
    )

    def frame(self, tables):
        import pandas as pd

        table = tables["capacity"]
        table = table[(table["place"] == self.place) & (abs(table["energy"] - self.energy) < 1e-9)]
        used = table[(table["measure"] == "used")]
        final = used.groupby(["model", "order"])["after"].transform("max")
        whole, by_layer = used[used["layer"] == -1], used[used["layer"] >= 0]
        floor = table[
            (table["measure"] == "growth") & (table["quantity"] == "floor") & (table["layer"] == -1)
        ]
        keys = ["model", "order", "after"]
        before = whole.assign(after=whole["after"] + 1).set_index(keys)["value"]
        floor = floor.join(before.rename("before"), on=keys)
        for column in ("value", "low", "high"):
            floor[column] += floor["before"]
        parts = [
            whole.assign(panel="domains", line="used", x=whole["after"]),
            floor.assign(panel="domains", line="null", x=floor["after"]),
            by_layer[by_layer["after"] == 1].assign(panel="layers", line="first"),
            by_layer[by_layer["after"] == final[by_layer.index]].assign(panel="layers", line="used"),
        ]
        frame = pd.concat(parts)
        frame["x"] = frame["x"].fillna(frame["layer"])
        for column in ("value", "low", "high"):
            frame[column] /= frame["width"]
        return frame.dropna(subset=["value"])[list(COLUMNS)].reset_index(drop=True)

    def draw(self, frame):
        size = {"height": 1.75, "extra": 0.6, "sharey": True}
        label = "dimensions in use (share)"
        figure, cells = base.grid(frame, "panel", PANELS, label, across="", **size)
        for ax, panel, part in cells:
            ax.axhline(1, color="#777777", linewidth=0.8)
            for (_, name), line in part.groupby(["order", "line"], sort=False):
                base.line(ax, line, STYLES[name], x="x", y="value", every=12, gid=name)
            base.whole_numbers(ax)
            ax.set_ylim(-0.02, 1.02)
            title, across = PANELS[panel]
            ax.set_title(title, loc="left")
            ax.set_xlabel(across)
        handles = base.handles(STYLES, LABELS)
        handles.append(base.handle("full width", color="#777777", linewidth=0.8))
        base.annotate(figure, self._note(frame), handles)
        return figure

    def _note(self, frame):
        orders = frame["order"].nunique()
        each = f" One line for each of {orders} orders." if orders > 1 else ""
        return (
            f"{words.origin_note(frame)}Base models. Fewest directions with {100 * self.energy:g} % of the "
            "energy of all domains' inputs, each domain weighing alike, over the width "
            f"({words.span(frame['width'])}).{each} n = {words.span(frame['tokens'])} tokens of a half "
            "domain, which bound what can be seen; bands: 95 % intervals, leaving out "
            f"{words.grouped(frame)} of {words.span(frame['n'])} documents in turn. Floor: the other half of "
            "the domain before is added instead of a new one."
        )
