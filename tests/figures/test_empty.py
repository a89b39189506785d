"""A study that has nothing for a figure gets a picture that says so, and a table of no rows."""

import numpy as np
import pandas as pd
import pytest
from looking import FIGURES, draw, frame_of, needed, texts
from planted import DOMAINS, noisy_scores, write_scores
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import load
from implicit_sparsity.storage.tables import read_table, write_table


@pytest.mark.parametrize("name", FIGURES)
def test_tables_without_rows_draw_a_panel_that_says_why(name, one, tmp_path):
    for path in needed(name, one):
        (tmp_path / path.name).write_text(path.read_text().splitlines()[0] + "\n")
    pdf, png, csv = draw(name, tmp_path, tmp_path / "out")
    result = pd.read_csv(csv)
    assert list(result.columns) == list(frame_of(name, one)[1].columns) and result.empty
    drawing, frame = frame_of(name, tmp_path)
    picture = drawing.picture(frame)
    reported = [text.replace("\n", " ") for text, _ in texts(picture)]
    assert reported == [drawing.EMPTY]
    width, height = picture.bbox.size
    ((_, box),) = texts(picture)
    assert box.x0 > 0 and box.y0 > 0 and box.x1 < width and box.y1 < height
    with open(pdf, "rb") as a, open(png, "rb") as b:
        assert a.read(4) == b"%PDF" and b.read(4) == b"\x89PNG"


def test_a_study_of_dense_models_has_no_routing_to_draw(tmp_path):
    """The table is the probe's own, of stores without a router."""
    scores = noisy_scores(np.random.default_rng(0), 2, 20)
    stores = [str(write_scores(tmp_path / f"{d}.zarr", scores[d], d)) for d in DOMAINS]
    probe_table(str(tmp_path / "routing_overlap.csv"), probe="routing_overlap", activations=stores)
    _, _, csv = draw("routing_by_layer", tmp_path, tmp_path / "out")
    with open(csv, encoding="utf-8") as file:
        assert file.read().splitlines() == [
            "model,revision,checkpoint,measure,k,top,experts,active,tokens,score,quantity,layer,mean,low,high,n,"
            "documents,groups"
        ]
    drawing, frame = frame_of("routing_by_layer", tmp_path)
    assert texts(drawing.picture(frame))[0][0] == "no mixture of experts in this study"


@pytest.mark.parametrize("name", ["write_interference", "drift_by_layer", "loss_curves", "r_heatmaps"])
def test_what_needs_training_says_so(name):
    assert "no trained" in load("figures", name).EMPTY


def test_rows_that_no_option_asks_for_are_still_an_error(one, tmp_path):
    """A checkpoint that is not there is a slip, and no property of the study."""
    with pytest.raises(InputError, match="nothing to draw"):
        draw("routing_by_layer", one, tmp_path, checkpoint="no.such.seed0.stage1")
    with pytest.raises(InputError, match="no rows"):
        (tmp_path / "empty.csv").write_text("model,value\n")
        read_table(tmp_path / "empty.csv")


@pytest.mark.parametrize(
    "name, retained", [("rounds", "lora"), ("rounds", "orthogonal"), ("predictors", "orthogonal")]
)
def test_a_study_without_the_methods_compared_says_so(name, retained, one, tmp_path):
    """One method alone, the reference or another, is a study, and its other figures are wanted."""
    for path in needed(name, one):
        table = read_table(path)
        column = {"fronts": "family"}.get(path.stem, "method")
        write_table(tmp_path / path.name, table[table[column] == retained] if column in table else table)
    _, _, csv = draw(name, tmp_path, tmp_path / "out")
    drawing, frame = frame_of(name, tmp_path)
    assert frame.empty and pd.read_csv(csv).empty
    assert [text.replace("\n", " ") for text, _ in texts(drawing.picture(frame))] == [drawing.EMPTY]
