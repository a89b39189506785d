"""What all figures share: panels and lines of planted frames, words, notes, and files that are stable."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.figures import base
from implicit_sparsity.report import words


def test_the_style_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with base.style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def test_panels_without_rows_are_left_out_and_the_axis_is_named_below_the_last():
    frame = pd.DataFrame({"model": ["a", "a", "b"], "k": [1, 2, 1], "layer": 0, "value": 1.0})
    figure, cells = base.grid(frame, "k", [1, 2], lambda part: f"{len(part)} rows", height=1)
    assert [(k, list(part["model"])) for _, k, part in cells] == [(1, ["a"]), (2, ["a"]), (1, ["b"])]
    axes = np.array(figure.axes).reshape(2, 2)
    assert [[ax.axison for ax in row] for row in axes] == [[True, True], [True, False]]
    assert [[ax.get_xlabel() for ax in row] for row in axes] == [["", "layer"], ["layer", ""]]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["a\n2 rows", "b\n1 rows"]


def test_a_line_is_drawn_in_order_with_its_band():
    frame = pd.DataFrame({"layer": [2, 0, 1], "mean": [3.0, 1.0, 2.0], "low": 0.5, "high": [4.0, 2.0, 3.0]})
    _, [[ax]] = base.panels(1, 1, height=1)
    base.line(ax, frame, {"color": "#000000"}, gid="x")
    base.line(ax, frame, {"color": "#000000"}, band=0)
    assert list(ax.lines[0].get_ydata()) == [1, 2, 3] and ax.lines[0].get_gid() == "x"
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    assert {(x, y) for x, y in corners} == {(0, 0.5), (1, 0.5), (2, 0.5), (0, 2), (1, 3), (2, 4)}


def test_of_lines_that_coincide_the_lower_ones_show_at_the_edges():
    looks = list(base.apart({"a": {"color": "r"}, "b": {"color": "g"}, "c": {"color": "b"}}))
    assert [name for name, _ in looks] == ["a", "b", "c"] and looks[1][1]["color"] == "g"
    for size in ("linewidth", "markersize"):
        first, second, last = (look[size] for _, look in looks)
        assert first > second > last
    [(_, alone)] = base.apart({"a": {}})
    assert alone["linewidth"] == looks[2][1]["linewidth"]


def test_a_bar_has_no_length_where_rounding_puts_its_end_on_the_other_side():
    """The mean of thirty equal numbers may be below all of them; matplotlib refuses a negative length."""
    equal = 0.0529
    bars = base.reach([1.0, np.nextafter(equal, 0)], [0.75, equal], [1.5, equal])
    assert bars.tolist() == [[0.25, 0], [0.5, equal - np.nextafter(equal, 0)]]
    assert base.reach(2.0, 1.0, 4.0).tolist() == [[1.0], [2.0]]


def test_the_spread_of_groups_is_that_of_their_values():
    values = [1.0, 3.0, np.nan, 5.0, 5.0]
    table = pd.DataFrame({"layer": [1, 1, 1, 0, 0], "value": values, "n": [4, 6, 9, 2, 2]})
    table["groups"] = [5, 3, 4, 2, 2]
    result = base.spread(table, ["layer"], units="documents")
    assert result.to_dict("records") == [
        {"layer": 1, "mean": 2.0, "low": 1.0, "high": 3.0, "n": 2, "documents": 6, "groups": 3},
        {"layer": 0, "mean": 5.0, "low": 5.0, "high": 5.0, "n": 2, "documents": 2, "groups": 2},
    ]


@dataclass
class Drawing(base.Figure):
    """Draws one point a row."""

    TABLES = ("a",)
    EMPTY = "nothing_of this kind"

    def draw(self, frame):
        figure, [[ax]] = base.panels(1, 1, height=1.5)
        ax.plot(frame["x"], frame["x"], "o")
        return figure


def test_a_frame_without_rows_is_a_panel_that_says_why():
    empty, full = pd.DataFrame({"x": []}), pd.DataFrame({"x": [1, 2]})
    picture = Drawing().picture(empty)
    (ax,) = picture.axes
    assert [text.get_text() for text in ax.texts] == ["nothing of this kind"] and not ax.lines
    picture = Drawing().picture(full)
    assert len(picture.axes[0].lines) == 1
    edges = picture.axes[0].get_position().bounds
    assert edges == tuple(round(edge, 5) for edge in edges)
    picture.axes[0].set_ylabel("a label\nthat would\nmove the panel")
    picture.draw_without_rendering()
    assert picture.axes[0].get_position().bounds == edges, "laid out once, for both files alike"


def test_no_rows_are_an_error_only_where_the_study_has_some():
    rows, none = pd.DataFrame({"x": [1]}), pd.DataFrame({"x": []})
    base.refuse_empty(rows, Drawing(), {"a": rows}, ["a.csv"])
    base.refuse_empty(none, Drawing(), {"a": none, "b": rows}, ["a.csv"])
    with pytest.raises(InputError) as caught:
        base.refuse_empty(none, Drawing(), {"a": rows}, ["b.csv", "a.csv"])
    assert str(caught.value) == "a.csv, b.csv: test_figures_base finds nothing to draw in it"


@pytest.mark.parametrize(
    ("name", "width", "text"),
    [
        ("activation_mask_random", 0, "activation mask random"),
        ("activation_mask_random", 12, "activation\nmask random"),
        ("", 5, ""),
        (7, 0, "7"),
    ],
)
def test_names_become_words_in_lines(name, width, text):
    assert words.readable(name, width) == text


@pytest.mark.parametrize(
    ("k", "top", "text"),
    [
        (0.01, None, "top 1 %"),
        (0.1, 51.0, "top 10 % (51)"),
        (0.025, None, "top 2.5 %"),
        (64, 64, "top 64"),
        (1, None, "top 1"),
    ],
)
def test_sizes_of_sets_are_shares_below_one_and_counts_from_there(k, top, text):
    assert words.size_of_set(k, top) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([1, 1], "n = 1 seed: no interval."),
        ([3, 3], "n = 3 seeds: mean and range (lowest to highest)."),
        ([1, 3], "n = 1 to 3 seeds: mean and range (lowest to highest)."),
    ],
)
def test_the_note_of_seeds_says_how_many(counts, text):
    assert words.seeds_note(counts) == text


def test_a_span_is_one_number_where_all_are_equal():
    assert words.span([2000]) == words.span([2000, 2000.0]) == "2,000"
    assert words.span([12000, 5]) == "5 to 12,000"


def test_models_trained_here_are_named_and_all_of_them_are_not_listed():
    frame = pd.DataFrame(
        {"model": ["b_b", "a", "b_b", "c"], "revision": ["scratch-1", "scratch-2", "scratch-1", "r"]}
    )
    rest = "trained from scratch on this study's own training splits. "
    assert words.origin_note(frame) == f"a, b b: {rest}"
    assert words.origin_note(frame[:3]) == f"All models were {rest}"
    assert words.origin_note(frame[3:]) == ""


def test_a_matrix_has_its_first_row_at_the_top():
    _, [[ax]] = base.panels(1, 1, height=1)
    base.matrix(ax, ["r0", "r1", "r2"], ["c0", "c1"])
    assert ax.get_xlim() == (-0.5, 1.5) and ax.get_ylim() == (2.5, -0.5)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r0", "r1", "r2"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["c0", "c1"]
    inks = [base.cell(ax, 0, y, shade, "1") for y, shade in enumerate([(1, 1, 1), (0, 0, 0), (0, 0, 1)])]
    assert inks == ["black", "white", "white"] and base.cell(ax, 1, 0, (0, 1, 0), "2") == "black"
    assert [text.get_color() for text in ax.texts] == [*inks, "black"]
    assert ax.patches[1].get_xy() == (-0.5, 0.5) and ax.patches[1].get_width() == 1


def test_layers_have_whole_numbers_on_their_axis():
    _, [[ax]] = base.panels(1, 1, height=1)
    for last in (1, 3, 23):
        ax.set_xlim(0, last)
        base.whole_numbers(ax)
        ticks = ax.get_xticks()
        assert (ticks == np.round(ticks)).all() and 2 <= sum(0 <= tick <= last for tick in ticks) <= 6


def test_a_long_legend_makes_the_page_longer_and_not_the_panels_flat():
    def drawn(count):
        with base.style():
            figure, _ = base.panels(1, 1, height=2)
            base.annotate(
                figure, "words " * 40, [base.handle(f"name {i}", color="black") for i in range(count)]
            )
            figure.draw_without_rendering()
        height = figure.get_size_inches()[1]
        return height, figure.axes[0].get_tightbbox().height / figure.dpi

    none, few, many = drawn(0), drawn(3), drawn(60)
    assert none[0] == few[0] == 2 and few[1] < none[1]
    assert many[0] > 3 and many[1] > 1, "the panel has as much room as three quarters of the page had"


def test_handles_are_labelled_by_their_label_or_name():
    made = base.handles({"o_lora": {"color": "red"}, "base": {"color": "blue"}}, {"base": "untrained"})
    assert [(each.get_label(), each.get_color()) for each in made] == [
        ("o lora", "red"),
        ("untrained", "blue"),
    ]


def test_equal_figures_are_equal_files_without_a_date(tmp_path):
    for name in "ab":
        base.save(
            Drawing().picture(pd.DataFrame({"x": [1, 2]})), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png"
        )
    for ending in ("pdf", "png"):
        first = (tmp_path / f"a.{ending}").read_bytes()
        assert first == (tmp_path / f"b.{ending}").read_bytes()
        assert b"CreationDate" not in first and b"Software" not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "b.pdf", "b.png"]
