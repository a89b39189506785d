"""Nothing is cut or covered, whatever names and numbers a study has."""

import pytest
from looking import FIGURES, drawn, texts

from implicit_sparsity.figures import base


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_and_the_legend_covers_nothing(name, tables):
    _, picture = drawn(name, tables)
    width, height = picture.bbox.size
    assert picture.get_size_inches()[0] in (base.WIDTH, base.COLUMN + 0.5)
    for text, box in texts(picture):
        inside = box.x0 >= -0.5 and box.y0 >= -0.5 and box.x1 <= width + 0.5 and box.y1 <= height + 0.5
        assert inside, f"{text!r} is cut: {box}"
    assert len(texts(picture)) > 10
    panels = [ax.get_tightbbox() for ax in picture.axes if ax.axison]
    note = max(picture.texts, key=lambda text: len(text.get_text())).get_window_extent()
    below = [legend.get_window_extent() for legend in picture.legends]
    for box in [*below, note]:
        assert all(box.y1 <= panel.y0 + 0.5 for panel in panels), "the legend or the note covers a panel"
    assert all(note.y1 <= box.y0 + 0.5 for box in below), "the legend covers the note"


@pytest.mark.parametrize("name", FIGURES)
def test_titles_do_not_run_into_each_other(name, tables):
    _, picture = drawn(name, tables)
    boxes = [
        ax._left_title.get_window_extent() for ax in picture.axes if ax.axison and ax.get_title(loc="left")
    ]
    for i, a in enumerate(boxes):
        assert not any(a.overlaps(b) for b in boxes[i + 1 :])
