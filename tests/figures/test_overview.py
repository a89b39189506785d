"""The page for the thesis: every panel is the table it is from, and what is not there is said."""

import shutil

import numpy as np
import pytest
from looking import drawn, frame_of, lines, texts

from implicit_sparsity.figures import overview
from implicit_sparsity.metrics import pairs
from implicit_sparsity.storage.tables import read_table

MEASURED = ["neurons (IoU)", "separation (SEP)", "gradients (cosine)", "experts (IoU)"]
MEASURED += ["zeros at +1 % loss", "loss, 50 % masked", "drift (relative L2)", "learned, forgotten"]


def panels(picture):
    """(place of the model, title) -> axes."""
    titles = [ax.get_title(loc="left") for ax in picture.axes]
    return {(i // 8, title): ax for i, (ax, title) in enumerate(zip(picture.axes, titles))}


def rows(frame, model, panel, line=None):
    part = frame[(frame["model"] == model) & (frame["panel"] == panel)]
    return part if line is None else part[part["line"] == line]


def test_every_panel_draws_its_rows(tables):
    frame, picture = drawn("overview", tables)
    result = panels(picture)
    models = list(frame["model"].unique())
    assert len(result) == 8 * len(models) and {title for _, title in result} == set(MEASURED)
    for i, model in enumerate(models):
        for panel, title in zip(overview.PANELS, MEASURED):
            ax, part = result[i, title], rows(frame, model, panel)
            if panel in ("overlap", "sep", "gradients", "routing", "drift"):
                expected = {tuple(p["value"]) for _, p in part.sort_values("x").groupby("line")}
                assert {tuple(line.get_ydata()) for line in lines(ax)} == expected
            else:
                assert sorted(p[0].get_ydata().item() for p in ax.containers) == sorted(part["value"])
        learned = sorted(p[0].get_xdata().item() for p in result[i, MEASURED[-1]].containers)
        assert learned == sorted(rows(frame, model, "learning")["x"])


def test_the_numbers_are_those_of_the_tables(one):
    _, frame = frame_of("overview", one)
    table = pairs.of_domains(read_table(one / "activation_overlap.csv"))
    table = table.query("measure == 'iou' and k == 0.1 and layer == 3")
    apart = table[table["quantity"] == "sep"]["value"]
    row = rows(frame, "smollm2", "sep", "signal").query("x == 3").iloc[0]
    assert list(row[["value", "low", "high", "n"]]) == pytest.approx(
        [apart.mean(), apart.min(), apart.max(), 6]
    )
    within = table[(table["domain_a"] == table["domain_b"]) & (table["quantity"] == "ceiling")]["value"]
    row = rows(frame, "smollm2", "overlap", "ceiling").query("x == 3").iloc[0]
    assert list(row[["value", "n", "parameter"]]) == pytest.approx([within.mean(), 4, 0.1])
    masks = rows(frame, "smollm2", "masks").set_index("name")
    assert masks["value"].to_dict() == pytest.approx({"own": 10, "other": 50, "random": 200}, rel=0.02)
    critical = rows(frame, "smollm2", "critical").set_index("name")["value"]
    assert critical.to_dict() == pytest.approx(
        {"code": 0.3, "math": 0.4, "medical": 0.5, "general": 0.6}, abs=0.02
    )
    metrics = read_table(one / "metrics.csv").query("score == 'loss_content'")
    metrics = metrics.set_index(["metric", "method"])["value"]
    learning = rows(frame, "smollm2", "learning").set_index("line")
    assert learning["value"].to_dict() == metrics["forgetting"].to_dict()
    assert learning["x"].to_dict() == metrics["learned_gain"].to_dict()
    moved = read_table(one / "representation_drift.csv").query(
        "measure == 'relative_l2' and quantity == 'signal' and reference == 'base' and layer == 2"
    )
    moved = moved[moved["checkpoint"].str.startswith("lora.")]["value"]
    row = rows(frame, "smollm2", "drift", "lora").query("x == 2").iloc[0]
    assert list(row[["value", "low", "high", "n"]]) == pytest.approx(
        [moved.mean(), moved.min(), moved.max(), 4]
    )


def test_models_that_lack_something_say_so(one):
    _, picture = drawn("overview", one)
    reported = {place: [t.get_text() for t in ax.texts] for place, ax in panels(picture).items()}
    assert reported[0, "experts (IoU)"] == ["no mixture\nof experts"] and reported[0, "neurons (IoU)"] == []
    assert reported[1, "experts (IoU)"] == [] and reported[1, "neurons (IoU)"] == ["not measured"]
    assert reported[1, "drift (relative L2)"] == reported[1, "learned, forgotten"] == ["not trained"]


def test_a_study_with_the_overlap_alone_has_a_page(one, tmp_path):
    shutil.copy(one / "activation_overlap.csv", tmp_path)
    drawing, frame = frame_of("overview", tmp_path)
    assert set(frame["panel"]) == {"overlap", "sep"}
    picture = drawing.picture(frame)
    assert [text for text, _ in texts(picture)].count("not measured") == 6


def test_sizes_levels_and_models_are_chosen(tables):
    models = list(read_table(tables / "activation_overlap.csv")["model"].unique())
    _, frame = frame_of("overview", tables, models=models[-1:], k=0.01, level=0.4)
    assert set(frame["model"]) == set(models[-1:])
    assert set(rows(frame, models[-1], "overlap")["parameter"]) == {0.01}
    assert set(rows(frame, models[-1], "masks")["parameter"]) == {50}, "the nearest that was measured"


def test_the_page_is_one_page(tables):
    _, picture = drawn("overview", tables)
    width, height = picture.get_size_inches()
    assert width <= 6.3 and height <= 9.7  # of A4, in inches, with margins
    assert np.all([ax.get_position().height * height > 0.6 for ax in picture.axes])
