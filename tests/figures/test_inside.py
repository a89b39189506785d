"""What figures of sparsity, drift, writes and capacity show is what the tables say."""

import numpy as np
import pandas as pd
import planted_learning
import pytest
from looking import drawn, frame_of, lines, note
from matplotlib.colors import same_color

from implicit_sparsity.errors import InputError
from implicit_sparsity.figures import drift_by_layer
from implicit_sparsity.report.style import ordered, styles
from implicit_sparsity.storage.tables import read_table


def test_sparsity_draws_the_frame(tables):
    frame, picture = drawn("sparsity_by_layer", tables)
    by = ["model", "measure", "parameter", "domain"]
    expected = {tuple(part["mean"]) for _, part in frame.groupby(by, dropna=False)}
    assert {tuple(line.get_ydata()) for ax in picture.axes for line in lines(ax)} == expected


def test_critical_sparsity_draws_the_frame(tables):
    frame, picture = drawn("critical_sparsity", tables)
    curves = frame[frame["measure"] == "curve"]
    expected = {tuple(part["value"]) for _, part in curves.groupby(["model", "domain_b"])}
    axes = picture.axes[::2]
    curved = [line for ax in axes for line in lines(ax)]
    assert {tuple(line.get_ydata()) for line in curved if " of " not in line.get_gid()} == expected
    ends = {tuple(part[end]) for _, part in curves.groupby(["model", "domain_b"]) for end in ("low", "high")}
    assert {tuple(line.get_ydata()) for line in curved if " of " in line.get_gid()} == ends
    assert not [band for ax in axes for band in ax.collections if band.get_gid()], "bands hide each other"
    points = [bars for ax in axes for bars in ax.containers]
    critical = frame[(frame["measure"] == "critical_sparsity") & (frame["quantity"] != "numerical")]
    assert sorted(bars[0].get_xdata().item() for bars in points) == sorted(critical["value"])
    written = sorted(float(text.get_text()) for ax in picture.axes[1::2] for text in ax.texts)
    masks = frame[frame["measure"] == "cross_mask"]
    np.testing.assert_allclose(written, sorted(100 * masks["value"]), atol=0.51)
    assert len(masks) == 5 * 4 * frame["model"].nunique()
    moved = frame.loc[frame["quantity"] == "numerical", "value"].max()
    reported = note(picture)
    assert moved > 0 and f"moves it by up to {moved:.2g}" in reported and "(12 of a domain)" in reported


def test_unrelated_states_far_off_are_a_number_and_do_not_flatten_the_lines():
    signal = pd.DataFrame({"value": [0.1, 0.2], "low": [0.05, np.nan], "high": [0.15, 0.3]})
    assert drift_by_layer.beyond_the_lines(pd.Series([0.54, 0.9]), signal) == 0, "within a height above 0.3"
    assert drift_by_layer.beyond_the_lines(pd.Series([0.56, 0.9]), signal) == 1
    assert drift_by_layer.beyond_the_lines(pd.Series([-0.21, -0.3]), signal) == -1
    assert drift_by_layer.beyond_the_lines(pd.Series([], dtype=float), signal) == 0


def test_drift_shows_the_last_stage_with_the_interval_of_one_domain(one):
    """Planted: the further, the later the layer and the more the method moves it."""
    _, frame = frame_of("drift_by_layer", one, domain="general")
    table = read_table(one / "representation_drift.csv")
    row = frame.query("method == 'lora' and measure == 'cka' and quantity == 'signal' and layer == 2").iloc[0]
    rows = table.query("measure == 'cka' and quantity == 'signal' and domain == 'general' and layer == 2")
    rows = rows[(rows["reference"] == "base") & rows["checkpoint"].str.startswith("lora.")].iloc[0]
    assert list(row[["value", "low", "high"]]) == list(rows[["value", "low", "high"]])
    far = frame[(frame["measure"] == "relative_l2") & (frame["quantity"] == "signal")]
    far = far.pivot_table(index="method", columns="layer", values="value")
    assert (np.diff(far.to_numpy(), axis=1) > 0).all() and (far.loc["orthogonal"] > far.loc["lora"]).all()
    drawing, every = frame_of("drift_by_layer", one, reference="previous")
    assert set(every["domains"]) == {4} and set(every["quantity"]) == {"signal", "floor", "unrelated"}
    assert every["value"].between(every["low"], every["high"]).all()
    line = next(
        line for line in drawing.picture(every).axes[0].lines if line.get_gid() == "signal activation_mask"
    )
    drawn_rows = every.query(
        "method == 'activation_mask' and measure == 'relative_l2' and quantity == 'signal'"
    )
    np.testing.assert_array_equal(line.get_ydata(), drawn_rows.sort_values("layer")["value"])
    with pytest.raises(InputError, match="'history' is not one of code, general"):
        frame_of("drift_by_layer", one, domain="history")


def test_writes_draw_the_frame_by_set_and_method(one):
    frame, picture = drawn("write_interference", one)
    assert [ax.get_title(loc="left") for ax in picture.axes][:2] == ["hubs", "old domains' top"]
    for ax, name in zip(picture.axes, ("hubs", "old", "new", "idle")):
        part = frame[frame["set"] == name]
        for line in lines(ax):
            rows = part[(part["quantity"] + part["method"]) == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert len(lines(ax)) == 3 + 2  # methods, and two shares that are no method's
    null = frame[frame["quantity"] == "permuted"]
    np.testing.assert_allclose(null[["low", "high"]], np.outer(null["mean"], [0.8, 1.2]))
    assert set(frame.loc[(frame["set"] == "old") & (frame["quantity"] == "signal"), "n"]) == {3}
    last = drawn("write_interference", one, write="total")[0]
    assert set(last.loc[last["quantity"] == "signal", "n"]) == {1}


def test_capacity_draws_dimensions_by_domain_and_by_layer(one):
    frame, picture = drawn("capacity", one)
    table = read_table(one / "capacity.csv").query("energy == 0.95 and layer == -1")
    used = table[table["measure"] == "used"]["value"].to_numpy()
    floor = table[(table["measure"] == "growth") & (table["quantity"] == "floor")]["value"].to_numpy()
    result = {line.get_gid(): line.get_ydata() for line in lines(picture.axes[0])}
    np.testing.assert_allclose(result["used"], used / planted_learning.WIDTH)
    np.testing.assert_allclose(result["null"], (used[:-1] + floor) / planted_learning.WIDTH)
    assert {line.get_gid() for line in lines(picture.axes[1])} == {"first", "used"}
    assert (frame["value"] <= 1).all()


PANELS = ["energy held: made (dash), held out", "change, old inputs held out", "change, new inputs"]


def test_protection_draws_the_frame_by_kind_and_method(tables):
    """A point and its bar for each row: at its kind and its method's place there, a dash where it is made."""
    frame, picture = drawn("protection", tables)
    methods, panels = ordered(set(frame["method"])), [ax for ax in picture.axes if ax.axison]
    plot_styles = styles(methods)
    models = list(frame["model"].unique())
    assert [ax.get_title(loc="left") for ax in panels] == PANELS * len(models)
    for ax, model in zip(panels, np.repeat(models, len(PANELS)), strict=True):
        part = frame[(frame["model"] == model) & (frame["panel"] == ax.get_title(loc="left"))]
        kinds, shown = [label.get_text() for label in ax.get_xticklabels()], []
        assert kinds == ["q", "down"]
        for points, _, (bars,) in ax.containers:
            inputs = "made" if points.get_marker() == "_" else "filled"
            ends = [segment[:, 1] for segment in bars.get_segments()]
            for x, y, (low, high) in zip(*points.get_data(), ends, strict=True):
                method = methods[round(((x - round(x)) / 0.7 + 0.5) * len(methods) - 0.5)]
                look = plot_styles[method]
                assert same_color(look["color"], points.get_color())
                assert points.get_marker() in ("_", look["marker"])
                assert points.get_fillstyle() == look.get("fillstyle", "full"), "a control is told apart"
                shown.append((method, inputs, kinds[round(x)], y, low, high))
        rows = part.assign(inputs=part["inputs"].where(part["inputs"] == "made", "filled"))
        rows = rows[["method", "inputs", "kind", "mean", "low", "high"]]
        expected = sorted(rows.itertuples(index=False, name=None))
        assert len(expected) == 2 * len(plot_styles) * (2 if "dash" in ax.get_title(loc="left") else 1)
        for one, other in zip(sorted(shown), expected, strict=True):
            assert one[:3] == other[:3] and one[3:] == pytest.approx(other[3:], rel=1e-9)


def test_protection_is_that_of_the_last_stages_over_runs(tables):
    """Planted: three quarters are held, and the i-th method changes 0.002 (1 + i) of its outputs."""
    frame, _ = drawn("protection", tables)
    table = read_table(tables / "protection.csv")
    table = table[(table["layer"] == -1) & (table["domain"] == "")]
    for row in frame.itertuples():
        measure = "energy" if row.panel == PANELS[0] else "change"
        wanted = {"model": row.model, "kind": row.kind, "measure": measure, "inputs": row.inputs}
        runs = table[(table[list(wanted)] == list(wanted.values())).all(axis=1)]
        runs = runs[runs["checkpoint"].str.startswith(f"{row.method}.main")]
        assert row.runs == len(runs) == (1 if frame["model"].nunique() == 1 else 3)
        assert row.mean == pytest.approx(runs["value"].mean())
        ends = runs.iloc[0][["low", "high"]] if len(runs) == 1 else runs["value"].agg(["min", "max"])
        assert [row.low, row.high] == list(ends)
        assert row.low < row.mean < row.high
    held = frame[frame["panel"] == PANELS[0]]
    assert set(held["inputs"]) == {"made", "held_out"}
    np.testing.assert_allclose(held["mean"], 0.75, atol=0.06)
    moved = frame[frame["panel"] != PANELS[0]]
    place = {name: i for i, name in enumerate(read_methods(table))}
    np.testing.assert_allclose(moved["mean"], 0.002 * (1 + moved["method"].map(place)), rtol=0.05)
    assert set(held["n"]) == {36} and set(moved.loc[moved["inputs"] == "new", "n"]) == {12}


def read_methods(table) -> list:
    """Methods in the order in which they were planted."""
    return list(dict.fromkeys(name.split(".")[0] for name in table["checkpoint"]))
