"""What every figure shares: one style per name, printed widths, notes that are never cut, and stable bytes.

A figure is a dataclass (its options) with ``TABLES``, ``frame(tables)`` -> DataFrame of exactly what is
drawn, and ``draw(frame)`` -> Figure. Colours are Okabe & Ito's, and every name also has a marker and a line
style of its own: a grey print and a colour-blind reader tell all of them apart.
"""

import os
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import Options, option

__all__ = ["Figure", "option"]

WIDTH, COLUMN = 6.3, 3.1  # inches on paper
# Okabe-Ito without its yellow, which white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
# Names with a place of their own in every figure; any other name gets the next free styles, in sorted order.
KNOWN = ("lora", "activation_mask", "orthogonal", "replay", "full", "o_lora", "ewc", "osf", "joint", "base")
KNOWN += ("selective_write", "structured_sparsity", "curvature", "expert_mask", "independent")
# An overlap between its floor and its ceiling, in every figure that shows one.
TRIPLE = {
    "ceiling": {"color": "#0072B2", "linestyle": (0, (5, 1.5)), "marker": "^"},
    "signal": {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    "floor": {"color": "#000000", "linestyle": (0, (1, 1)), "marker": None},
}
SCRATCH = "scratch-"  # how the revision of a model begins that was trained here, from nothing


@dataclass
class Figure(Options):
    """A figure: ``frame`` computes what is drawn, ``draw`` draws it and computes nothing."""

    TABLES: ClassVar[tuple] = ()

    def frame(self, tables: dict):
        """DataFrame of exactly what is drawn, from the tables named in TABLES."""
        raise NotImplementedError

    def draw(self, frame):
        """The matplotlib Figure of a frame."""
        raise NotImplementedError

    def picture(self, frame):
        """``draw`` in the thesis style."""
        with style():
            figure = self.draw(frame)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, for PDF and PNG alike
        return figure


@contextmanager
def style():
    """The thesis style; whatever style was set before comes back."""
    import matplotlib.style

    with matplotlib.style.context(["default", Path(__file__).with_name("thesis.mplstyle")]):
        yield


def styles(names) -> dict[str, dict]:
    """name -> colour, marker and line style: a known name's own in every figure, and unique in this one."""
    unknown = sorted(set(names) - set(KNOWN))
    place = {name: i for i, name in enumerate([*KNOWN, *unknown] if set(names) & set(KNOWN) else unknown)}
    return {
        name: {
            "color": COLOURS[place[name] % len(COLOURS)],
            "marker": MARKERS[place[name] % len(MARKERS)],
            "linestyle": LINES[place[name] % len(LINES)],
        }
        # The second time round the markers are hollow.
        | ({"markerfacecolor": "white"} if place[name] // len(MARKERS) % 2 else {})
        for name in names
    }


def ordered(names) -> list[str]:
    """Names in the order in which figures show them: the known ones first, then the others by name."""
    return sorted(set(names), key=lambda name: (KNOWN.index(name) if name in KNOWN else len(KNOWN), name))


def panels(rows: int, columns: int, height: float, width: float = WIDTH, extra: float = 0.0, **options):
    """A figure and its axes [rows, columns]: ``height`` inches a row, ``extra`` for legend and note."""
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height * rows + extra))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def annotate(figure, note: str, handles=()) -> None:
    """A legend below the panels and below it a note (what n and the intervals are), both outside the data."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(note, int(width * 19))
    columns = max(1, min(len(handles), int(width / 1.35)))
    below = 0.08 + 0.125 * len(lines)  # inches, as all of this
    band = below + 0.17 * -(-len(handles) // columns)
    figure.get_layout_engine().set(rect=(0, band / height, 1, 1 - band / height))
    figure.text(0.01, 0.04 / height, "\n".join(lines), fontsize=6.5, va="bottom", ha="left", linespacing=1.2)
    if handles:
        # Not "outside": that place is the figure's edge, where the note is.
        legend = figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=(0.5, below / height),
            ncols=columns,
            borderaxespad=0,
        )
        legend.set_in_layout(False)


def handle(label, **look):
    """A legend entry that looks like a line of the figure."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **look)


def readable(name: str, width: int = 0) -> str:
    """A name of the config as words for print, in lines of at most ``width`` characters (0: one line)."""
    words = str(name).replace("_", " ")
    return textwrap.fill(words, width) if width else words


def seeds_note(counts) -> str:
    """What repeated runs there are and what is drawn of them."""
    low, high = int(min(counts)), int(max(counts))
    if high == 1:
        return "n = 1 seed: no interval."
    runs = f"n = {low}" if low == high else f"n = {low} to {high}"
    return f"{runs} seeds: mean and range (lowest to highest)."


def origin_note(frame) -> str:
    """Which models were trained from scratch here, by the column ``revision``: none of them is pretrained."""
    small = frame["revision"].str.startswith(SCRATCH)
    if not small.any():
        return ""
    names = sorted(map(readable, set(frame.loc[small, "model"])))
    who = "All models were" if small.all() else f"{', '.join(names)}:"
    return f"{who} trained from scratch on this study's own training splits. "


def span(counts) -> str:
    """A count, or the lowest and the highest of several."""
    low, high = min(counts), max(counts)
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def refuse_empty(frame, figure: str, paths) -> None:
    """InputError for a frame with nothing to draw."""
    if frame.empty:
        raise InputError(f"{figure} finds nothing to draw in it", path=", ".join(sorted(map(str, paths))))


def save(figure, pdf, png) -> None:
    """Write PDF and PNG without dates, so that equal figures are equal files; each appears whole."""
    with style():
        for path, metadata in ((pdf, {"CreationDate": None}), (png, {"Software": None})):
            path = Path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".partial-{path.name}")
            figure.savefig(partial, format=path.suffix[1:], metadata=metadata)
            os.replace(partial, path)
