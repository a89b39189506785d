"""Equal tables give equal files, the CSV is what is drawn, and what cannot be drawn is one line."""

import numpy as np
import pytest
from looking import FIGURES, assert_csv_is_frame, draw, drawn, frame_of
from PIL import Image

from implicit_sparsity.errors import InputError
from implicit_sparsity.figures import base


@pytest.mark.parametrize("name", FIGURES)
def test_equal_tables_give_equal_files_and_the_csv_is_the_frame(name, one, tmp_path):
    first, second = (draw(name, one, tmp_path / folder) for folder in "ab")
    for a, b in zip(first, second):
        with open(a, "rb") as x, open(b, "rb") as y:
            data = x.read()
            assert data == y.read(), a
        assert b"/CreationDate" not in data
    assert_csv_is_frame(first[2], frame_of(name, one)[1])
    # Another process lays out with other last digits: what is written has none of them.
    edges = [edge for ax in drawn(name, one)[1].axes for edge in ax.get_position(original=True).bounds]
    np.testing.assert_allclose(edges, np.round(edges, 5), rtol=0, atol=1e-12)
    with open(first[0], "rb") as file:
        pdf = file.read()
    assert b"/Subtype /Type3" not in pdf and pdf.startswith(b"%PDF")
    width = Image.open(first[1]).width
    assert width in (round(300 * base.WIDTH), round(300 * (base.COLUMN + 0.5)))


def test_what_cannot_be_drawn_is_one_line(one, tmp_path):
    with pytest.raises(InputError, match="nothing to draw"):
        draw("overlap_by_layer", one, tmp_path, checkpoint="no.such.seed0.stage1")
    with pytest.raises(InputError, match="no such table"):
        draw("loss_curves", tmp_path, tmp_path)
    (tmp_path / "r_matrices.csv").write_text("")
    with pytest.raises(InputError, match="not a CSV"):
        draw("r_heatmaps", tmp_path, tmp_path)
    with pytest.raises(InputError, match="no option"):
        draw("forgetting_learning", one, tmp_path, colour="red")
    assert not list(tmp_path.glob("*.png"))
