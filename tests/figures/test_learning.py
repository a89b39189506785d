"""What figures of learning and forgetting show is what the tables say."""

import numpy as np
import pandas as pd
import pytest
from looking import drawn, lines, note
from planted import BASE

from implicit_sparsity.figures import base
from implicit_sparsity.storage.tables import read_table, write_table


def test_heatmaps_draw_the_frame(tables):
    frame, picture = drawn("r_heatmaps", tables)
    written = [t.get_text() for ax in picture.axes for t in ax.texts if t.get_gid() != "block"]
    assert sorted(written) == sorted(f"{value:.2f}" for value in frame["mean"])
    np.testing.assert_allclose(
        frame["change"], np.where(frame["metric"] == "loss_content", -1, 1) * (frame["mean"] - frame["base"])
    )
    zero = frame[(frame["stage"] == 0) & (frame["metric"] == "loss_content")]
    np.testing.assert_allclose(zero["mean"], zero["domain"].map(BASE))
    assert set(zero["change"]) == {0}
    assert frame[["documents", "groups"]].notna().all(axis=None)


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


def test_missing_cells_and_stages_are_drawn_as_gaps(one, tmp_path):
    cells = read_table(one / "r_matrices.csv")
    cells = cells[~((cells["method"] == "lora") & (cells["stage"] == 2))]
    cells = cells[~((cells["stage"] == 0) & (cells["domain"] == "code"))]
    write_table(tmp_path / "r_matrices.csv", cells)
    frame, picture = drawn("r_heatmaps", tmp_path)
    numbers = [text for ax in picture.axes for text in ax.texts if text.get_gid() != "block"]
    assert len(frame) == len(cells) == len(numbers)
    assert frame.loc[frame["domain"] == "code", "change"].isna().all()


def test_forgetting_draws_the_frame_with_intervals_and_a_line_per_front(tables):
    frame, picture = drawn("forgetting_learning", tables)
    points_drawn, fronts = set(), {}
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
        fronts |= {(id(ax), line.get_gid()): line.get_xdata() for line in ax.lines if line.get_gid()}
    assert points_drawn == set(zip(frame["learned"], frame["forgotten"]))
    assert len(fronts) == len(frame[["model", "family"]].drop_duplicates())
    assert all((np.diff(x) > 0).all() for x in fronts.values())
    table = read_table(tables / "fronts.csv")
    assert points_drawn == set(zip(table["learned_gain"], table["forgetting"]))
    reported = note(picture)
    assert ("n = 1 seed" in reported) == (frame["seeds"].max() == 1)
    assert ("n = 3 seeds" in reported) == (frame["seeds"].max() == 3)


def test_comparison_draws_the_frame_and_the_noise_floor(tables):
    frame, picture = drawn("method_comparison", tables)
    table, known = read_table(tables / "comparisons.csv"), frame[frame["forgetting"].notna()]
    assert sorted(table["forgetting"].dropna()) == sorted(known["forgetting"])
    result = {}
    for ax in picture.axes:
        for points, _, (bar,) in ax.containers:
            result[points.get_xdata().item()] = np.ptp(bar.get_segments()[0][:, 0])
    expected = dict(zip(known["forgetting"], known["forgetting_high"] - known["forgetting_low"]))
    assert result == pytest.approx(expected)
    bands = [patch.get_width() for ax in picture.axes for patch in ax.patches]
    reference = frame[frame["family"] == "lora"]
    assert sorted(bands) == pytest.approx(sorted(2 * reference["noise_sd"].dropna()))
    reported = [text.get_text() for ax in picture.axes for text in ax.texts]
    assert reported == ["one setting, no front"] * frame["forgetting"].isna().sum()
    assert (frame["forgetting"].isna().any()) == (frame["seeds"].max() == 1)
    panels = [ax for ax in picture.axes if ax.axison]
    for ax, (_, part) in zip(panels, frame.groupby(["model", "order"], sort=False), strict=True):
        stars = np.where(part["p_holm"] < 0.05, " *", "")
        expected = [
            f"{name.replace('_', ' ')}{star}" + (f" [{norm:.2g}]" if np.isfinite(norm) else "")
            for name, star, norm in zip(part["family"], stars, part["update_norm"], strict=True)
        ]
        assert [label.get_text() for label in ax.get_yticklabels()] == expected
        assert part["family"].iloc[0] == "lora" and len(part) > 2
        assert (
            expected[0].startswith("lora [")
            and (part["update_norm"].isna() == part["forgetting"].isna()).all()
        )


def test_loss_curves_draw_the_declared_running_mean(one):
    frame, picture = drawn("loss_curves", one, window=3)
    raw = (
        read_table(one / "learning_curves.csv")
        .query("method == 'lora' and stage == 2")["loss_content"]
        .to_numpy()
    )
    rows = frame[(frame["method"] == "lora") & (frame["stage"] == 2)]
    assert rows["mean"].iloc[5] == pytest.approx(raw[4:7].mean())
    assert rows["mean"].iloc[0] == pytest.approx(raw[:2].mean())
    expected = {tuple(part["mean"]) for _, part in frame.groupby(["stage", "method"])}
    assert {tuple(line.get_ydata()) for ax in picture.axes for line in lines(ax)} == expected


@pytest.mark.parametrize(
    ("part", "more", "label"),
    [
        ("content", 0, "content loss"),
        ("first", 1, "first-token loss"),
        ("stop", 2, "stop-token loss"),
        ("completion", 48 / 128, "completion loss"),
        ("objective", 3 + 48 / 128, "objective"),
    ],
)
def test_loss_curves_of_any_part(one, part, more, label):
    """What is planted of the others lies above the content by a constant."""
    frame, picture = drawn("loss_curves", one, window=1, part=part)
    content, _ = drawn("loss_curves", one, window=1)
    np.testing.assert_allclose(frame["mean"], content["mean"] + more)
    assert f"{label} (nats/token)" in picture.axes[0].get_ylabel()


def test_loss_curves_of_many_settings_are_one_line_a_method(one, tmp_path):
    raw = read_table(one / "learning_curves.csv").query("method == 'lora'")
    settings = [f"{name}_learning_rate_0p{i}" for name in ("lora", "ewc_random") for i in range(1, 31)]
    runs = [raw.assign(method=name, loss_content=raw["loss_content"] + i) for i, name in enumerate(settings)]
    write_table(tmp_path / "learning_curves.csv", pd.concat(runs))
    frame, picture = drawn("loss_curves", tmp_path, window=1)
    assert set(frame["method"]) == {"lora", "ewc"} and set(frame["n"]) == {30}
    rows = frame[(frame["method"] == "ewc") & (frame["stage"] == 1)]
    own = raw[
        (raw["model"] == rows["model"].iloc[0])
        & (raw["order"] == rows["order"].iloc[0])
        & (raw["stage"] == 1)
    ]
    losses = own.groupby("step")["loss_content"].mean().to_numpy()
    np.testing.assert_allclose(rows["mean"], losses + 44.5)
    np.testing.assert_allclose(rows["high"] - rows["low"], 29)
    reported = note(picture)
    assert "n = 30 runs" in reported


def test_a_legend_of_many_names_makes_the_page_longer():
    with base.style():
        figure, axes = base.panels(1, 1, height=1.5)
        base.annotate(figure, "note", [base.handle(f"name {i}", color="k") for i in range(80)])
        figure.draw_without_rendering()
    assert axes[0, 0].get_position().height * figure.get_size_inches()[1] > 0.6


def test_plasticity_draws_the_last_stages_beside_base(one):
    frame, picture = drawn("plasticity", one)
    assert set(frame["method"]) == {"base", "lora", "activation_mask", "orthogonal", "ceiling"}
    for ax, measure in zip(picture.axes, ("curve", "effective_rank", "dormant_share")):
        part = frame[frame["measure"] == measure]
        for line in lines(ax):
            rows = part[part["method"] == line.get_gid()].sort_values("x")
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
        assert len(lines(ax)) == 4


def test_many_fronts_have_a_panel_a_method_with_its_controls(one, tmp_path):
    table = read_table(one / "fronts.csv")
    point = table[table["score"] == "loss_content"].iloc[[0]]
    rows = []
    for i in range(10):
        for role in ("method", "random") if i < 2 else ("method",):
            reported = {
                "of": f"m{i}",
                "family": f"m{i}" + ("_random" if role == "random" else ""),
                "role": role,
            }
            middle = {
                "learned_gain": 0.1 * i - (5 if i == 9 else 0),
                "forgetting": 0.05 * i + (role == "random"),
            }
            ends = {
                f"{axis}_{end}": middle[name] + by
                for axis, name in (("learned", "learned_gain"), ("forgetting", "forgetting"))
                for end, by in (("low", -0.1), ("high", 0.1))
            }
            rows.append(point.assign(**reported, method=reported["family"], **middle, **ends))
    write_table(tmp_path / "fronts.csv", pd.concat(rows))
    frame, picture = drawn("forgetting_learning", tmp_path)
    panels = {ax.get_title(loc="left"): ax for ax in picture.axes if ax.axison}
    assert list(panels) == [f"m{i}" for i in range(10)]
    for name, ax in panels.items():
        own = {line.get_gid() for line in ax.lines if line.get_gid()}
        assert own == set(frame.loc[frame["of"] == name, "family"])
        grey = max((line for line in ax.lines if not line.get_gid()), key=lambda line: len(line.get_xdata()))
        assert sorted(grey.get_xdata()) == sorted(frame.loc[frame["of"] != name, "learned"])
        inside = frame[frame["of"] == name]
        assert (
            inside["learned_low"].min() > ax.get_xlim()[0] and inside["learned_high"].max() < ax.get_xlim()[1]
        )
    assert len({panels[f"m{i}"].get_xlim() for i in range(1, 9)}) == 1
    assert [text.get_text() for text in panels["m9"].texts] == ["own scale"]
    assert [text.get_text() for text in panels["m0"].get_legend().get_texts()] == ["method", "random"]


def test_recovery_falls_from_what_was_forgotten_to_what_does_not_come_back(one):
    frame, picture = drawn("recovery", one)
    table = read_table(one / "recovery.csv")
    domains = ["code", "math", "medical", "all"]
    assert list(dict.fromkeys(frame["domain"])) == domains
    for ax, domain in zip(picture.axes, domains):
        part = frame[frame["domain"] == domain]
        shown = {line.get_gid(): line for line in ax.lines if len(line.get_xdata()) > 1 and line.get_gid()}
        methods = ("lora", "activation_mask", "orthogonal")
        assert set(shown) == {f"{m} {s}" for m in methods for s in ("own", "unrelated")} | {"base base"}
        for method in methods:
            rows = table[(table["domain"] == domain) & table["checkpoint"].str.startswith(f"{method}.")]
            rows = rows.set_index([rows["source"].fillna(""), "documents", "quantity"])["value"]
            own = shown[f"{method} own"]
            assert own.get_xdata().tolist() == [0, 10, 50]
            wanted = rows["", 0, "forgotten"], *(rows["own", n, "remaining"] for n in (10, 50))
            np.testing.assert_allclose(own.get_ydata(), wanted)
            other = shown[f"{method} unrelated"]
            assert other.get_xdata().tolist() == [0, 50]
            np.testing.assert_allclose(other.get_ydata()[-1], rows["unrelated", 50, "remaining"])
            difference = rows["", 0, "forgotten"] - own.get_ydata()[-1]
            assert difference == pytest.approx(rows["own", 50, "recovered"])
        assert set(part["n"]) == {72 if domain == "all" else 24} and set(part["groups"]) == {12}
    reported = note(picture)
    assert "n = 24 documents of a domain in 12 groups" in reported and "Unrelated: knowledge" in reported
