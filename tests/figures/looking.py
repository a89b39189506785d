"""Drawing figures from planted tables, and what is on them."""

from functools import cache

import numpy as np
import pandas as pd
from draw_figure import draw_figure

from implicit_sparsity.options import load
from implicit_sparsity.storage.tables import read_table

FIGURES = (
    "overlap_by_layer",
    "r_heatmaps",
    "forgetting_learning",
    "loss_curves",
    "sparsity_by_layer",
    "hubs",
    "overlap_by_width",
    "routing_by_layer",
    "gradients_by_layer",
    "critical_sparsity",
    "drift_by_layer",
    "write_interference",
    "plasticity",
    "capacity",
    "protection",
    "recovery",
    "method_comparison",
    "overview",
    "rounds",
    "predictors",
)


def needed(name, tables):
    """Paths of the tables that a figure reads, and of those that are there and it can do without."""
    drawing = load("figures", name)
    optional = [tables / f"{table}.csv" for table in drawing.OPTIONAL]
    return [*(tables / f"{table}.csv" for table in drawing.TABLES), *(p for p in optional if p.exists())]


def frame_of(name, tables, **options):
    drawing = load("figures", name, **options)
    return drawing, drawing.frame({path.stem: read_table(path, empty=True) for path in needed(name, tables)})


def draw(name, tables, folder, **options):
    paths = [str(folder / f"{name}.{kind}") for kind in ("pdf", "png", "csv")]
    draw_figure(*paths, list(map(str, needed(name, tables))), name, options)
    return paths


@cache
def drawn(name, tables, **options):
    """(frame, picture): drawing takes seconds, and most tests only look."""
    drawing, frame = frame_of(name, tables, **options)
    return frame, drawing.picture(frame)


def note(picture) -> str:
    """The text beside the panels, in one line."""
    return " ".join(text.get_text() for text in picture.texts).replace("\n", " ")


def texts(picture):
    """Every text that is drawn, with its box in pixels."""
    result = [*picture.texts, *(text for legend in picture.legends for text in legend.get_texts())]
    for ax in picture.axes:
        if ax.axison:
            result += [*ax.texts, ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label]
            ticks = [tick for axis in (ax.xaxis, ax.yaxis) for tick in axis._update_ticks()]
            result += [label for tick in ticks for label in (tick.label1, tick.label2)]
    return [
        (text.get_text(), text.get_window_extent())
        for text in result
        if text.get_visible() and text.get_text().strip()
    ]


def lines(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def assert_csv_is_frame(path, frame):
    result = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert list(result.columns) == list(frame.columns) and len(result) == len(frame)
    number = frame.select_dtypes("number").columns
    np.testing.assert_array_equal(result[number].to_numpy(float), frame[number].to_numpy(float))
