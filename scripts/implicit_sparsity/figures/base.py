"""What every figure shares: one style per name, printed widths, notes that are never cut, and stable bytes.

A figure is a dataclass (its options) with ``TABLES``, ``frame(tables)`` -> DataFrame of exactly what is
drawn, and ``draw(frame)`` -> Figure. Most are a grid of panels, a row for each model, in which lines with
bands go over layers: ``grid`` and ``line``.
"""

import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import Options
from implicit_sparsity.provenance import record
from implicit_sparsity.report import words
from implicit_sparsity.storage.files import new_file

WIDTH, COLUMN = 6.3, 3.1  # inches on paper


@dataclass
class Figure(Options):
    """A figure: ``frame`` computes what is drawn, ``draw`` draws it and computes nothing.

    TABLES: what it reads; OPTIONAL: what it reads besides where the study makes it; FIRST_STAGE: of an order
    that it shows anything of, and without which a study leaves it out; EMPTY: why a table may have no rows,
    said in an empty panel.
    """

    TABLES: ClassVar[tuple] = ()
    OPTIONAL: ClassVar[tuple] = ()
    FIRST_STAGE: ClassVar[int] = 1
    EMPTY: ClassVar[str] = "nothing of this kind in this study"

    def frame(self, tables: dict):
        """DataFrame of exactly what is drawn, from the tables named in TABLES."""
        raise NotImplementedError

    def nothing(self, tables: dict) -> bool:
        """Whether the study itself has nothing for this figure: then no rows are no slip of an option."""
        return any(table.empty for table in tables.values())

    def draw(self, frame):
        """The matplotlib Figure of a frame."""
        raise NotImplementedError

    def picture(self, frame):
        """``draw`` in the thesis style; of a frame without rows a panel that says why."""
        with style():
            figure = blank(self.EMPTY) if frame.empty else self.draw(frame)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, for PDF and PNG alike
            for ax in figure.axes:  # the solver's last digits are another process's own, and PDF shows them
                ax.set_position([round(float(edge), 5) for edge in ax.get_position().bounds])
        return figure


@contextmanager
def style():
    """The thesis style; whatever style was set before comes back."""
    import matplotlib.style

    with matplotlib.style.context(["default", Path(__file__).with_name("thesis.mplstyle")]):
        yield


def panels(rows: int, columns: int, height: float, width: float = WIDTH, extra: float = 0.0, **options):
    """A figure and its axes [rows, columns]: ``height`` inches a row, ``extra`` for legend and note."""
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height * rows + extra))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def blank(why: str):
    """A figure of one empty panel that says why there is nothing in it."""
    figure, [[ax]] = panels(1, 1, height=1.2)
    say(ax, why)
    return figure


def say(ax, why: str, width: int = 40) -> None:
    """An empty panel with a text in its middle, in lines of ``width`` characters."""
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.text(
        0.5,
        0.5,
        words.readable(why, width),
        transform=ax.transAxes,
        ha="center",
        va="center",
        color="#555555",
    )


def grid(frame, column: str, values, label, across: str = "layer", **size):
    """(figure, [(axes, value, rows)]): a row of panels per model, a column per value of ``column``.

    Panels without rows are left out. label: what the y axis shows, below the model's name; or a function of
    the model's rows that says it. across: the label of the x axis, below the lowest panel of each column.
    """
    models = list(frame["model"].unique())
    figure, axes = panels(len(models), len(values), **size)
    cells = []
    for row, model in zip(axes, models):
        part = frame[frame["model"] == model]
        text = label(part) if callable(label) else label
        row[0].set_ylabel("\n".join(filter(None, (words.readable(model, 22), text))))
        for ax, value in zip(row, values):
            rows = part[part[column] == value]
            if rows.empty:
                ax.set_axis_off()
            else:
                cells.append((ax, value, rows))
    for column_of_axes in axes.T:
        shown = [ax for ax in column_of_axes if ax.axison]
        shown[-1].set_xlabel(across) if shown and across else None
    return figure, cells


def line(ax, part, look, x="layer", y="mean", band=0.2, every=8, gid=None, **more) -> None:
    """A line over ``x`` and its band from ``low`` to ``high`` (``band``: how dark; 0: none).

    every: about so many markers; or what ``markevery`` takes.
    """
    part = part.sort_values(x)
    marks = max(1, len(part) // every) if isinstance(every, int) else every
    ax.plot(part[x], part[y], **look, markevery=marks, gid=gid, **more)
    if band:
        ax.fill_between(part[x], part["low"], part["high"], color=look["color"], alpha=band, linewidth=0)


def apart(plot_styles: dict, size: float = 4.0):
    """(name, look) of each line of a panel, the first the widest: of lines that coincide, each shows at the
    edges of the next. ``size``: of the smallest markers."""
    last = len(plot_styles) - 1
    for i, (name, look) in enumerate(plot_styles.items()):
        wider = 1 - i / last if last else 0.0
        yield name, look | {"linewidth": 1.2 + wider, "markersize": size * (1 + 0.5 * wider)}


def reach(value, low, high):
    """Lengths [2, n] of error bars below and above values [n] (or one); none where rounding puts the end of a
    bar on the other side of its value."""
    import numpy as np

    below, above = np.subtract(value, low), np.subtract(high, value)
    return np.clip(np.stack([np.atleast_1d(below), np.atleast_1d(above)]), 0, None)


def own_marks(i: int, count: int, points: int) -> tuple[int, int]:
    """(first, every) of the markers of line ``i`` of ``count``: no two have theirs at the same place, so that
    lines that coincide stay visible."""
    every = max(1, points // 5)
    return min(i * every // count, every - 1), every


def whole_numbers(ax, most: int = 5) -> None:
    """Layers, steps and the like have whole numbers on their axis."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=most, min_n_ticks=1))


def matrix(ax, rows, columns, **ticks) -> None:
    """An axis of cells: names of rows and columns on it, the first row at the top, no lines."""
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), columns, **ticks)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def cell(ax, x, y, shade, number: str) -> str:
    """A shaded cell of a matrix with its number, black or white as the shade is light or dark: which."""
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor="white", linewidth=0.6))
    ink = "black" if 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] > 0.45 else "white"
    text = ax.text(x, y, number, ha="center", va="center", fontsize=6.5, color=ink)
    text.set_in_layout(False)  # it is inside its cell, and measuring hundreds of them is slow
    return ink


def annotate(figure, note: str, handles=()) -> None:
    """A legend below the panels and below it a note (what n and the intervals are), both outside the data."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(note, int(width * 19))
    columns = max(1, min(len(handles), int(width / 1.35)))
    below = 0.08 + 0.125 * len(lines)  # inches, as all of this
    band = below + 0.17 * -(-len(handles) // columns)
    if band > height / 2:  # a long legend makes the page longer, not the panels flat
        height = 0.75 * height + band
        figure.set_size_inches(width, height)
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


def handles(plot_styles: dict, labels=None) -> list:
    """A legend entry for each name of ``plot_styles``, by its label or its own name."""
    return [
        handle((labels or {}).get(name, words.readable(name)), **look) for name, look in plot_styles.items()
    ]


def spread(table, by, units: str = ""):
    """Mean, lowest, highest and count of ``value`` by the columns ``by``, in the order in which they come;
    rows without a value do not count. ``units``: a name for the largest ``n``, with the fewest ``groups``."""
    grouped = table.dropna(subset=["value"]).groupby(list(by), sort=False, dropna=False)
    columns = grouped["value"].agg(mean="mean", low="min", high="max", n="count")
    if units:
        columns = columns.join(grouped["n"].max().rename(units))
        columns = columns.join(grouped["groups"].min())
    return columns.reset_index()


def refuse_empty(frame, drawing, tables: dict, paths) -> None:
    """InputError for a frame with nothing to draw, though the study has it: no option asks for it."""
    if frame.empty and not drawing.nothing(tables):
        figure = type(drawing).__module__.rpartition(".")[2]
        raise InputError(f"{figure} finds nothing to draw in it", path=", ".join(sorted(map(str, paths))))


def save(figure, pdf, png) -> None:
    """Write PDF and PNG without dates, so that equal figures are equal files; each appears whole."""
    with style():
        origin = record.text()  # what the figure is made of, within it
        entries = ({"CreationDate": None, "Keywords": origin}, {"Software": None, "Comment": origin})
        for path, metadata in zip((pdf, png), entries):
            metadata = {key: value for key, value in metadata.items() if key != "Comment" or value}
            with new_file(path) as temporary:
                figure.savefig(temporary, format=Path(path).suffix[1:], metadata=metadata)
