"""Figures: what is drawn is what the CSV says, nothing is cut or covered, equal tables give equal bytes."""

import shutil
from functools import cache

import numpy as np
import pandas as pd
import planted_learning
import pytest
from collect_scores import collect_scores
from collect_stages import collect_stages
from continual_metrics import continual_metrics
from draw_figure import draw_figure
from PIL import Image
from planted import (
    BASE,
    DOMAINS,
    noisy_gradients,
    noisy_losses,
    noisy_scores,
    write_drift,
    write_evals,
    write_gradients,
    write_routing,
    write_scores,
    write_stages,
    write_thresholds,
)
from probe_table import probe_table

from implicit_sparsity import figures
from implicit_sparsity.errors import InputError
from implicit_sparsity.figures import base
from implicit_sparsity.tables import read_table, write_table

FIGURES = ("overlap_by_layer", "r_heatmaps", "forgetting_learning", "loss_curves", "sparsity_by_layer")
FIGURES += ("hubs", "overlap_by_width", "routing_by_layer")
FIGURES += ("gradients_by_layer",)
FIGURES += ("critical_sparsity",)
FIGURES += ("drift_by_layer",)
FIGURES += ("write_interference", "plasticity", "capacity")
CASES = {
    "one of each": {
        "models": ["smollm2"],
        "methods": ["lora", "activation_mask", "orthogonal"],
        "seeds": [0],
    },
    "several": {
        "models": ["nano_dense", "a_model_with_a_long_name_of_its_own"],
        "methods": ["lora", "activation_mask", "replay", "my_own_method"],
        "seeds": [0, 1, 2],
    },
}


def make_tables(folder, models, methods, seeds):
    rng = np.random.default_rng(0)
    stores, evals, stages = [], [], []
    for i, model in enumerate(models):
        for domain, scores in noisy_scores(rng, 6 + 18 * i, 200 + 100 * i).items():
            path = folder / "stores" / f"{model}.{domain}.zarr"
            stores.append(str(write_scores(path, scores, domain, model=model, groups=6)))
        evals += write_evals(folder / "evals", rng, methods, seeds, model)
        stages += write_stages(folder / "adapters", rng, methods, seeds, model, steps=20)
    out = folder / "tables"
    for probe, options in (
        ("activation_overlap", {"draws": 8}),
        ("activation_sparsity", {}),
        ("hubs", {"draws": 8}),
    ):
        probe_table(str(out / f"{probe}.csv"), stores, probe, options)
    mixtures = [
        str(
            write_routing(
                folder / "stores" / f"moe.{domain}.zarr", rng.multinomial(4000, p, (2, 5)), domain, 4
            )
        )
        for domain, p in zip(DOMAINS, rng.dirichlet(np.ones(16), 4))
    ]
    probe_table(str(out / "routing_overlap.csv"), [*stores, *mixtures], "routing_overlap", {})
    sketches = []
    for i, model in enumerate(models):
        for domain, values in noisy_gradients(rng, 0.3, modules=6 + 18 * i).items():
            path = folder / "stores" / f"{model}.{domain}.gradients.zarr"
            sketches.append(str(write_gradients(path, values, domain, model=model)))
    quick = {"resamples": 100, "permutations": 20}
    probe_table(
        str(out / "gradient_overlap.csv"), probe="gradient_overlap", options=quick, gradients=sketches
    )
    losses = [
        str(
            write_thresholds(
                folder / "stores" / f"{model}.{domain}.losses.zarr",
                noisy_losses(rng, domain, 0.3 + 0.1 * i),
                domain,
                model,
            )
        )
        for model in models
        for i, domain in enumerate(DOMAINS)
    ]
    probe_table(str(out / "critical_sparsity.csv"), probe="critical_sparsity", thresholds=losses)
    moved = [
        str(
            write_drift(
                folder / "drift" / f"{model}.{method}.{seed}.zarr",
                lambda reference, layer, m=m: 0.05 * (1 + m) * (1 + layer) / (1 + reference),
                documents=5,
                model=model,
                checkpoint=f"{method}.main.seed{seed}.stage{len(DOMAINS)}",
                layers=6 + 18 * i,
            )
        )
        for i, model in enumerate(models)
        for m, method in enumerate(methods)
        for seed in seeds[:2]
    ]
    probe_table(str(out / "representation_drift.csv"), probe="representation_drift", drift=moved)
    collect_scores(str(out / "scores.csv"), evals)
    arranged = str(out / "r_matrices.csv"), str(out / "metrics.csv")
    continual_metrics(*arranged, str(out / "scores.csv"), {"main": list(DOMAINS)})
    collect_stages(str(out / "learning_curves.csv"), str(out / "stages.csv"), stages)
    planted_learning.write_tables(out, folder / "stores", rng, models, methods, seeds)
    shutil.rmtree(folder / "stores")
    return out


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def tables(request, tmp_path_factory):
    return make_tables(tmp_path_factory.mktemp("tables"), **request.param)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return make_tables(tmp_path_factory.mktemp("one"), **CASES["one of each"])


def frame_of(name, tables, **options):
    drawing = figures.load(name, **options)
    return drawing, drawing.frame({table: read_table(tables / f"{table}.csv") for table in drawing.TABLES})


def draw(name, tables, folder, **options):
    paths = [str(folder / f"{name}.{kind}") for kind in ("pdf", "png", "csv")]
    needed = [str(tables / f"{table}.csv") for table in figures.load(name).TABLES]
    draw_figure(*paths, needed, name, options)
    return paths


@cache
def drawn(name, tables, **options):
    """(frame, picture): drawing takes seconds, and most tests only look."""
    drawing, frame = frame_of(name, tables, **options)
    return frame, drawing.picture(frame)


def texts(picture):
    """Every text that is drawn, with its box in pixels."""
    found = [*picture.texts, *(text for legend in picture.legends for text in legend.get_texts())]
    for ax in picture.axes:
        if ax.axison:
            found += [*ax.texts, ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label]
            ticks = [tick for axis in (ax.xaxis, ax.yaxis) for tick in axis._update_ticks()]
            found += [label for tick in ticks for label in (tick.label1, tick.label2)]
    return [
        (text.get_text(), text.get_window_extent())
        for text in found
        if text.get_visible() and text.get_text().strip()
    ]


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


@pytest.mark.parametrize("name", FIGURES)
def test_equal_tables_give_equal_files_and_the_csv_is_the_frame(name, one, tmp_path):
    first, second = (draw(name, one, tmp_path / folder) for folder in "ab")
    for a, b in zip(first, second):
        with open(a, "rb") as x, open(b, "rb") as y:
            data = x.read()
            assert data == y.read(), a
        assert b"/CreationDate" not in data
    assert_csv_is_frame(first[2], frame_of(name, one)[1])
    with open(first[0], "rb") as file:
        pdf = file.read()
    assert b"/Subtype /Type3" not in pdf and pdf.startswith(b"%PDF")
    width = Image.open(first[1]).width
    assert width in (round(300 * base.WIDTH), round(300 * (base.COLUMN + 0.5)))


def assert_csv_is_frame(path, frame):
    found = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert list(found.columns) == list(frame.columns) and len(found) == len(frame)
    number = frame.select_dtypes("number").columns
    np.testing.assert_array_equal(found[number].to_numpy(float), frame[number].to_numpy(float))


def lines(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def test_overlap_draws_the_frame(one):
    frame, picture = drawn("overlap_by_layer", one)
    for ax, k in zip(picture.axes, sorted(frame["k"].unique())):
        for line in lines(ax):
            rows = frame[(frame["k"] == k) & (frame["quantity"] == line.get_gid())].sort_values("layer")
            np.testing.assert_array_equal(line.get_xdata(), rows["layer"])
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert {line.get_gid() for line in lines(ax)} == {"floor", "floor_hub", "signal", "ceiling"}
        tops = sorted(path.get_extents().y1 for c in ax.collections for path in c.get_paths())
        banded = frame[(frame["k"] == k) & frame["quantity"].isin(["signal", "ceiling"])]
        bands = banded.groupby("quantity")["high"].max()
        np.testing.assert_allclose(tops, sorted(bands))
    signal = frame[frame["quantity"] == "signal"]
    assert set(signal["n"]) == {6} and set(frame.loc[frame["quantity"] == "ceiling", "n"]) == {4}
    assert (signal["low"] <= signal["mean"]).all() and (signal["mean"] <= signal["high"]).all()


def test_heatmaps_draw_the_frame(tables):
    frame, picture = drawn("r_heatmaps", tables)
    written = [t.get_text() for ax in picture.axes for t in ax.texts if t.get_gid() != "block"]
    assert sorted(written) == sorted(f"{value:.2f}" for value in frame["mean"])
    np.testing.assert_allclose(
        frame["change"], np.where(frame["metric"] == "loss", -1, 1) * (frame["mean"] - frame["base"])
    )
    zero = frame[(frame["stage"] == 0) & (frame["metric"] == "loss")]
    np.testing.assert_allclose(zero["mean"], zero["domain"].map(BASE))
    assert set(zero["change"]) == {0}


def test_heatmap_numbers_stand_out_from_their_cells(one):
    from matplotlib.colors import to_rgb

    def light(colour):  # relative luminance, WCAG
        return sum(w * (c / 12.92 if c < 0.04 else ((c + 0.055) / 1.055) ** 2.4) for w, c in
                   zip((0.2126, 0.7152, 0.0722), to_rgb(colour)))  # fmt: skip

    for ax in drawn("r_heatmaps", one)[1].axes:
        cells = {p.get_center().round(3).tobytes(): p.get_facecolor() for p in ax.patches if p.get_fill()}
        for text in [text for text in ax.texts if text.get_gid() != "block"]:
            cell = cells[np.round(np.array(text.get_position(), float), 3).tobytes()]
            low, high = sorted([light(cell[:3]), light(text.get_color())])
            assert (high + 0.05) / (low + 0.05) > 3.8


def test_forgetting_draws_the_frame_with_the_range_of_seeds(tables):
    frame, picture = drawn("forgetting_learning", tables)
    points_drawn = set()
    for ax in picture.axes:
        for points, _, bars in ax.containers:
            points_drawn.add((points.get_xdata().item(), points.get_ydata().item()))
            spans = [np.ptp(bar.get_segments()[0], axis=0).max() for bar in bars]
            row = frame[frame["learned"] == points.get_xdata().item()].iloc[0]
            np.testing.assert_allclose(
                spans,
                [row.learned_high - row.learned_low, row.forgotten_high - row.forgotten_low],
                atol=1e-12,
            )
    assert points_drawn == set(zip(frame["learned"], frame["forgotten"]))
    said = " ".join(text.get_text() for text in picture.texts).replace("\n", " ")
    assert ("n = 1 seed" in said) == (frame["learned_n"].max() == 1)
    assert ("n = 3 seeds" in said) == (frame["learned_n"].max() == 3)


def test_loss_curves_draw_the_declared_running_mean(one):
    frame, picture = drawn("loss_curves", one, window=3)
    raw = read_table(one / "learning_curves.csv").query("method == 'lora' and stage == 2")["loss"].to_numpy()
    rows = frame[(frame["method"] == "lora") & (frame["stage"] == 2)]
    assert rows["mean"].iloc[5] == pytest.approx(raw[4:7].mean())
    assert rows["mean"].iloc[0] == pytest.approx(raw[:2].mean())
    expected = {tuple(part["mean"]) for _, part in frame.groupby(["stage", "method"])}
    assert {tuple(line.get_ydata()) for ax in picture.axes for line in lines(ax)} == expected


def test_sparsity_draws_the_frame(tables):
    frame, picture = drawn("sparsity_by_layer", tables)
    by = ["model", "measure", "parameter", "domain"]
    expected = {tuple(part["mean"]) for _, part in frame.groupby(by, dropna=False)}
    assert {tuple(line.get_ydata()) for ax in picture.axes for line in lines(ax)} == expected


def test_width_draws_the_frame_one_point_a_model(tables):
    frame, picture = drawn("overlap_by_width", tables)
    overlap, sep = picture.axes
    found = {}
    for ax in (overlap, sep):
        for points, *_ in ax.containers:
            found[len(found)] = tuple(points.get_ydata())
            assert len(points.get_xdata()) == len(frame["model"].unique())
    expected = [tuple(frame[frame["quantity"] == q]["mean"]) for q in ("ceiling", "signal", "floor", "sep")]
    assert list(found.values()) == expected
    assert (frame["low"] <= frame["mean"]).all() and (frame["mean"] <= frame["high"]).all()
    table = read_table(tables / "activation_overlap.csv")
    model = frame["model"].iloc[0]
    part = table[(table["model"] == model) & (table["k"] == 0.1) & (table["quantity"] == "sep")]
    row = frame[(frame["model"] == model) & (frame["quantity"] == "sep")].iloc[0]
    assert row["mean"] == pytest.approx(part.groupby("layer")["value"].mean().mean())
    assert row["high"] == pytest.approx(part.groupby("layer")["value"].mean().max())
    assert row["layers"] == part["layer"].nunique()


def test_width_takes_the_models_of_one_ladder(tables):
    models = sorted(read_table(tables / "activation_overlap.csv")["model"].unique())
    frame, _ = drawn("overlap_by_width", tables, models=(models[0],))
    assert set(frame["model"]) == {models[0]}
    with pytest.raises(InputError, match="nothing to draw"):
        draw("overlap_by_width", tables, tables, models=["no_such_model"])


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
    table = read_table(one / "gradient_overlap.csv")
    table = table[(table["measure"] == "cosine") & (table["domain_a"] != table["domain_b"])]
    for ax, kind in zip(picture.axes, ("attention", "ffn")):
        part = frame[frame["kind"] == kind]
        assert {line.get_gid() for line in lines(ax)} == {"disattenuated", "ceiling", "signal"}
        for line in lines(ax):
            rows = part[part["quantity"] == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        null = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert null.max() == -null.min() == part[part["quantity"] == "floor_d_eff"]["mean"].max()
        rows = table[(table["kind"] == kind) & (table["quantity"] == "disattenuated")]
        drawn_means = part[part["quantity"] == "disattenuated"].set_index("layer")["mean"]
        assert rows.groupby("layer")["value"].mean().to_numpy() == pytest.approx(drawn_means.to_numpy())
    assert set(frame["documents"]) == {16}


def test_hubs_are_drawn_with_chance_and_ceiling(one):
    frame, picture = drawn("hubs", one)
    for ax, k in zip(picture.axes, sorted(frame["k"].unique())):
        part = frame[frame["k"] == k]
        for line in lines(ax):
            rows = part[part["quantity"] == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["value"])
        assert {line.get_gid() for line in lines(ax)} == {"floor", "signal", "ceiling"}


def test_critical_sparsity_draws_the_frame(tables):
    frame, picture = drawn("critical_sparsity", tables)
    curves = frame[frame["measure"] == "curve"]
    expected = {tuple(part["value"]) for _, part in curves.groupby(["model", "domain_b"])}
    axes = picture.axes[::2]
    assert {tuple(line.get_ydata()) for ax in axes for line in lines(ax)} == expected
    points = [bars for ax in axes for bars in ax.containers]
    critical = frame[frame["measure"] == "critical_sparsity"]
    assert sorted(bars[0].get_xdata().item() for bars in points) == sorted(critical["value"])
    written = sorted(float(text.get_text()) for ax in picture.axes[1::2] for text in ax.texts)
    masks = frame[frame["measure"] == "cross_mask"]
    np.testing.assert_allclose(written, sorted(100 * masks["value"]), atol=0.51)
    assert len(masks) == 5 * 4 * frame["model"].nunique()


def test_writes_draw_the_frame_by_set_and_method(one):
    frame, picture = drawn("write_interference", one)
    assert [ax.get_title(loc="left") for ax in picture.axes][:2] == ["hubs", "old domains' top"]
    for ax, name in zip(picture.axes, ("hubs", "old", "new", "idle")):
        part = frame[frame["set"] == name]
        for line in lines(ax):
            rows = part[(part["quantity"] + part["method"]) == line.get_gid()].sort_values("layer")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert len(lines(ax)) == 3 + 2  # methods, and two shares that are no method's
    assert set(frame.loc[(frame["set"] == "old") & (frame["quantity"] == "signal"), "n"]) == {3}
    last = drawn("write_interference", one, write="total")[0]
    assert set(last.loc[last["quantity"] == "signal", "n"]) == {1}


def test_plasticity_draws_the_last_stages_beside_base(one):
    frame, picture = drawn("plasticity", one)
    assert set(frame["method"]) == {"base", "lora", "activation_mask", "orthogonal", "ceiling"}
    for ax, measure in zip(picture.axes, ("curve", "effective_rank", "dormant_share")):
        part = frame[frame["measure"] == measure]
        for line in lines(ax):
            rows = part[part["method"] == line.get_gid()].sort_values("x")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert len(lines(ax)) == 4


def test_capacity_draws_dimensions_by_domain_and_by_layer(one):
    frame, picture = drawn("capacity", one)
    table = read_table(one / "capacity.csv").query("energy == 0.95 and layer == -1")
    used = table[table["measure"] == "used"]["value"].to_numpy()
    floor = table[(table["measure"] == "growth") & (table["quantity"] == "floor")]["value"].to_numpy()
    found = {line.get_gid(): line.get_ydata() for line in lines(picture.axes[0])}
    np.testing.assert_allclose(found["used"], used / planted_learning.WIDTH)
    np.testing.assert_allclose(found["null"], (used[:-1] + floor) / planted_learning.WIDTH)
    assert {line.get_gid() for line in lines(picture.axes[1])} == {"first", "used"}
    assert (frame["value"] <= 1).all()


def test_a_model_trained_from_scratch_is_called_so(one):
    """By the revision in the table; the planted mixture is one, the planted dense model is not."""
    for name, said in (("routing_by_layer", True), ("overlap_by_width", False)):
        note = " ".join(text.get_text() for text in drawn(name, one)[1].texts).replace("\n", " ")
        assert ("trained from scratch" in note) == said, note


def test_no_mixture_to_draw_is_one_line(one, tmp_path):
    header = (one / "routing_overlap.csv").read_text().splitlines()[0]
    (tmp_path / "routing_overlap.csv").write_text(header + "\n")
    with pytest.raises(InputError, match="no rows"):
        draw("routing_by_layer", tmp_path, tmp_path)


def test_styles_are_fixed_for_known_names_and_unique_for_all():
    some = base.styles(["lora", "zeta", "alpha"])
    assert some["lora"] == base.styles(["orthogonal", "lora"])["lora"]
    assert some == base.styles(["alpha", "zeta", "lora"])
    names = [*base.KNOWN, *(f"method_{i}" for i in range(10))]
    looks = base.styles(names)
    for key in ("marker", "markerfacecolor"):
        assert key in looks[names[-1]]
    assert len({(look["marker"], look.get("markerfacecolor")) for look in looks.values()}) == len(names)
    assert base.ordered(["zeta", "orthogonal", "lora"]) == ["lora", "orthogonal", "zeta"]


def test_missing_cells_and_stages_are_drawn_as_gaps(one, tmp_path):
    cells = read_table(one / "r_matrices.csv")
    cells = cells[~((cells["method"] == "lora") & (cells["stage"] == 2))]
    cells = cells[~((cells["stage"] == 0) & (cells["domain"] == "code"))]
    write_table(tmp_path / "r_matrices.csv", cells)
    frame, picture = drawn("r_heatmaps", tmp_path)
    numbers = [text for ax in picture.axes for text in ax.texts if text.get_gid() != "block"]
    assert len(frame) == len(cells) == len(numbers)
    assert frame.loc[frame["domain"] == "code", "change"].isna().all()


def test_what_cannot_be_drawn_is_one_line(one, tmp_path):
    with pytest.raises(InputError, match="nothing to draw"):
        draw("overlap_by_layer", one, tmp_path, checkpoint="no.such.seed0.stage1")
    with pytest.raises(InputError, match="no such table"):
        draw("loss_curves", tmp_path, tmp_path)
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(InputError, match="not a CSV"):
        draw("forgetting_learning", tmp_path, tmp_path)
    with pytest.raises(InputError, match="no option"):
        draw("forgetting_learning", one, tmp_path, colour="red")
    assert not list(tmp_path.glob("*.png"))


def test_the_style_leaves_no_trace():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with base.style():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


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
