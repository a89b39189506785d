"""What figures of shared neurons, gradients and experts show is what the tables say."""

import numpy as np
import pytest
from looking import draw, drawn, frame_of, lines, note

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import pairs
from implicit_sparsity.report.style import SOURCES
from implicit_sparsity.storage.tables import read_table


def test_overlap_draws_the_frame(one):
    frame, picture = drawn("overlap_by_layer", one)
    for ax, k in zip(picture.axes, sorted(frame["k"].unique())):
        for line in lines(ax):
            rows = frame[(frame["k"] == k) & (frame["quantity"] == line.get_gid())].sort_values("layer")
            np.testing.assert_array_equal(line.get_xdata(), rows["layer"])
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert {line.get_gid() for line in lines(ax)} == {"floor", "floor_hub", "signal", "ceiling", *SOURCES}
        tops = sorted(path.get_extents().y1 for c in ax.collections for path in c.get_paths())
        banded = frame[(frame["k"] == k) & frame["quantity"].isin(["signal", "ceiling"])]
        bands = banded.groupby("quantity")["high"].max()
        np.testing.assert_allclose(tops, sorted(bands))
    signal = frame[frame["quantity"] == "signal"]
    assert set(signal["n"]) == {6} and set(frame.loc[frame["quantity"] == "ceiling", "n"]) == {4}
    assert (signal["low"] <= signal["mean"]).all() and (signal["mean"] <= signal["high"]).all()


def test_width_draws_the_frame_one_point_a_model(tables):
    frame, picture = drawn("overlap_by_width", tables)
    overlap, sep = picture.axes
    result = {}
    for ax in (overlap, sep):
        for points, *_ in ax.containers:
            result[len(result)] = tuple(points.get_ydata())
            assert len(points.get_xdata()) == len(frame["model"].unique())
    expected = [tuple(frame[frame["quantity"] == q]["mean"]) for q in ("ceiling", "signal", "floor", "sep")]
    assert list(result.values()) == expected
    assert (frame["low"] <= frame["mean"]).all() and (frame["mean"] <= frame["high"]).all()
    table = pairs.of_domains(read_table(tables / "activation_overlap.csv"))
    model = frame["model"].iloc[0]
    part = table[(table["model"] == model) & (table["k"] == 0.1) & (table["quantity"] == "sep")]
    row = frame[(frame["model"] == model) & (frame["quantity"] == "sep")].iloc[0]
    assert row["mean"] == pytest.approx(part.groupby("layer")["value"].mean().mean())
    assert row["high"] == pytest.approx(part.groupby("layer")["value"].mean().max())
    assert row["layers"] == part["layer"].nunique()


def test_width_takes_the_models_of_one_ladder(tables, tmp_path):
    models = sorted(read_table(tables / "activation_overlap.csv")["model"].unique())
    frame, _ = drawn("overlap_by_width", tables, models=(models[0],))
    assert set(frame["model"]) == {models[0]}
    with pytest.raises(InputError, match="nothing to draw"):
        draw("overlap_by_width", tables, tmp_path, models=["no_such_model"])


def test_routing_draws_the_frame(one):
    frame, picture = drawn("routing_by_layer", one)
    assert set(frame["model"]) == {"moe"} and len(picture.axes) == 3
    for ax, measure in zip(picture.axes, ("iou", "weighted_jaccard", "jensen_shannon_bits")):
        part = frame[frame["measure"] == measure]
        for line in lines(ax):
            rows = part[part["quantity"] == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert {line.get_gid() for line in lines(ax)} == {"floor", "signal", "ceiling"}


def test_gradients_draw_the_frame_and_the_null(one):
    frame, picture = drawn("gradients_by_layer", one)
    assert [ax.get_title(loc="left") for ax in picture.axes] == ["attention", "ffn"]
    whole = read_table(one / "gradient_overlap.csv")
    table = pairs.of_domains(whole)
    table = table[(table["measure"] == "cosine") & (table["domain_a"] != table["domain_b"])]
    for ax, kind in zip(picture.axes, ("attention", "ffn")):
        part = frame[frame["kind"] == kind]
        assert {line.get_gid() for line in lines(ax)} == {"disattenuated", "ceiling", "signal", *SOURCES}
        for line in lines(ax):
            rows = part[part["quantity"] == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        null = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert null.max() == -null.min() == part[part["quantity"] == "floor_d_eff"]["mean"].max()
        rows = table[(table["kind"] == kind) & (table["quantity"] == "disattenuated")]
        drawn_means = part[part["quantity"] == "disattenuated"].set_index("layer")["mean"]
        assert rows.groupby("layer")["value"].mean().to_numpy() == pytest.approx(drawn_means.to_numpy())
        for quantity, one_domain in (("sources", True), ("sources_apart", False)):
            rows = pairs.of_sources(whole, one_domain).query("kind == @kind and quantity == 'disattenuated'")
            means = part[part["quantity"] == quantity].set_index("layer")["mean"]
            assert means.to_dict() == pytest.approx(rows.groupby("layer")["value"].mean().to_dict())
    assert set(frame.loc[~frame["quantity"].isin(SOURCES), "documents"]) == {16}


@pytest.mark.parametrize("value", [-7.5, 7.5])
def test_a_cosine_of_noise_alone_stands_at_the_edge_and_flattens_nothing(one, value):
    drawing, frame = frame_of("gradients_by_layer", one)
    usual = drawing.picture(frame)
    noise = (frame["kind"] == "ffn") & (frame["layer"] == 1) & (frame["quantity"] == "disattenuated")
    picture = drawing.picture(frame.assign(mean=frame["mean"].mask(noise, value)))
    for ax in picture.axes:
        low, high = ax.get_ylim()
        assert -1.1 <= low < high <= 1.1 and (1.1 if value > 0 else -1.1) in (low, high)
    edges = [
        c.get_offsets().tolist() for ax in picture.axes for c in ax.collections if c.get_gid() == "beyond"
    ]
    assert edges == [[[1, 1.1 if value > 0 else -1.1]]]
    assert not [c for ax in usual.axes for c in ax.collections if c.get_gid() == "beyond"]
    notes = [note(each) for each in (picture, usual)]
    assert "At the edge (carets): 1 means beyond 1.1" in notes[0] and "edge" not in notes[1]


def test_overlap_of_sources_is_the_mean_over_pairs(one):
    frame, picture = drawn("overlap_by_layer", one)
    table = read_table(one / "activation_overlap.csv").query("measure == 'iou' and quantity == 'signal'")
    for quantity, one_domain, count in (("sources", True, 4), ("sources_apart", False, 24)):
        rows = pairs.of_sources(table, one_domain).groupby(["k", "layer"])["value"].mean()
        result = frame[frame["quantity"] == quantity]
        assert result.set_index(["k", "layer"])["mean"].to_dict() == pytest.approx(rows.to_dict())
        assert set(result["n"]) == {count} and set(result["tokens"]) == {3 * (1000 // 6)}
    text = note(picture)
    assert "n = 1,000 tokens" in text and "498 tokens or more" in text


def test_hubs_are_drawn_with_chance_and_ceiling(one):
    frame, picture = drawn("hubs", one)
    for ax, k in zip(picture.axes, sorted(frame["k"].unique())):
        part = frame[frame["k"] == k]
        for line in lines(ax):
            rows = part[part["quantity"] == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["value"])
        assert {line.get_gid() for line in lines(ax)} == {"floor", "signal", "ceiling"}


def test_a_model_trained_from_scratch_is_called_so(one):
    """By the revision in the table; the planted mixture is one, the planted dense model is not."""
    for name, expected in (("routing_by_layer", True), ("overlap_by_width", False)):
        text = note(drawn(name, one)[1])
        assert ("trained from scratch" in text) == expected, text
