"""Critical sparsity: planted curves and masks at known distances are found; broken stores."""

import numpy as np
import pandas as pd
import pytest
from planted import DOMAINS, SHARES, noisy_losses, one, write_scores, write_thresholds
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import intervals
from implicit_sparsity.options import load
from implicit_sparsity.probes.critical_sparsity import separation
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table


@pytest.mark.parametrize("documents", [8, 32])
def test_paired_intervals_cover_ratio_and_sep(documents):
    draw, ratios, seps = np.random.default_rng(4), [], []
    for _ in range(2000):
        dense = 2 * np.exp(0.4 * draw.standard_normal(documents) - 0.08)
        own, other, chance = (
            dense * (r + 0.15 * (r - 1) * draw.standard_normal(documents)) for r in (1.3, 1.6, 3.0)
        )
        for covered, truth, given in (
            (ratios, 1.6, (lambda a, b: a / b, range(documents), other, dense)),
            (seps, 0.3 / 1.7, (separation, range(documents), own, other, chance)),
        ):
            _, low, high = intervals.paired_interval(*given)
            covered.append(low <= truth <= high)
    assert 0.92 <= np.mean(ratios) <= 0.98 and 0.92 <= np.mean(seps) <= 0.98


# The table


def table(folder, losses, **options):
    """Table of stores: domain -> what was found."""
    stores = [
        str(write_thresholds(folder / f"{name}.zarr", measured, name)) for name, measured in losses.items()
    ]
    path = folder / "critical_sparsity.csv"
    probe_table(str(path), probe="critical_sparsity", options=options, thresholds=stores)
    return read_table(path)


def test_planted_curves_and_masks_are_recovered(tmp_path):
    rng = np.random.default_rng(0)
    points = dict(zip(DOMAINS, (0.3, 0.45, 0.6, 0.8)))
    every = table(tmp_path, {name: noisy_losses(rng, name, at) for name, at in points.items()})
    assert set(every["n"]) == {12} and set(every["model"]) == {"nano"} and every["value"].notna().all()
    assert set(every["groups"]) == {12} and every["trusted"].all()
    assert set(every["tokens"].fillna("")) == {"content", "completion", "all", ""}
    over = every[(every["measure"] == "critical_sparsity") & (every["quantity"] == "signal")]
    for row in over[over["tokens"] == "completion"].itertuples():  # planted twice as far up
        assert row.value == pytest.approx(0.5**0.25 * points[row.domain_b], abs=0.02)
    result = every[every["tokens"] == "content"]
    result = result[result["quantity"] != "numerical"]
    for row in result[result["measure"] == "critical_sparsity"].itertuples():
        assert row.value == pytest.approx(points[row.domain_b], abs=0.02) and row.quantity == "signal"
        assert row.low <= row.value <= row.high
    cross = result[result["measure"] == "cross_mask"].set_index(["domain_b", "domain_a"])
    for quantity, expected in (("ceiling", 1.1), ("signal", 1.5), ("floor", 3.0), ("sep", 0.4 / 1.9)):
        rows = cross[cross["quantity"] == quantity]
        assert len(rows) == {"ceiling": 4, "floor": 4}.get(quantity, 12)
        np.testing.assert_allclose(rows["value"], expected, rtol=0.05)
        assert (rows["low"] <= rows["value"]).all() and (rows["value"] <= rows["high"]).all()
    curves = result[(result["measure"] == "curve") & (result["quantity"] == "ratio") & (result["level"] == 0)]
    assert set(curves["value"]) == {1.0}
    assert len(every[every["measure"] == "zeros"]) == 4 * len(SHARES) * 4
    looser = table(tmp_path, {"code": noisy_losses(rng, "code", 0.3)}, tolerance=0.16)
    assert critical(looser)["value"] == pytest.approx(0.6, abs=0.02)


def critical(frame, quantity="signal", tokens="content"):
    """The one row of a table's critical sparsity."""
    return one(frame, measure="critical_sparsity", tokens=tokens, quantity=quantity)


def test_the_numerical_floor_is_known_by_level_and_carried_over(tmp_path):
    """Another kernel's losses are 0.1 % higher; the loss rises by 4 % * s^3 / c^4 there: over the slope."""
    rng, at = np.random.default_rng(0), 0.55
    frame = table(tmp_path, {"code": noisy_losses(rng, "code", at, noise=0, numerical=1e-3)})
    floor = frame[(frame["measure"] == "curve") & (frame["quantity"] == "numerical")]
    floor = floor[floor["tokens"] == "content"].sort_values("level")["value"]
    np.testing.assert_allclose(floor, [0, *[1e-3] * (len(SHARES) - 1)], atol=1e-12)
    moved = critical(frame, "numerical")["value"]
    assert moved == pytest.approx(1e-3 / (0.01 * 4 / at), rel=0.15)  # the curve bends
    losses = noisy_losses(rng, "code", at)
    alone = {name: cell for name, cell in losses.items() if name[0] != "again"}
    frame = table(tmp_path, {"code": alone})
    assert "numerical" not in set(frame["quantity"]) and critical(frame)["value"] > 0


def test_groups_and_not_documents_make_the_interval(tmp_path):
    """Four documents of each of three groups: no interval, and not to be trusted."""
    losses = noisy_losses(np.random.default_rng(0), "code", noise=0.5)
    path = write_thresholds(tmp_path / "s.zarr", losses, "code", groups=np.arange(12) % 3)
    frame = pd.DataFrame(load("probes", "critical_sparsity").rows({"code": open_store(path)}))
    assert set(frame["groups"]) == {3} and set(frame["n"]) == {12} and not frame["trusted"].any()
    assert np.isnan(critical(frame)["low"])


def test_without_thresholds_of_others_there_are_masks_alone(tmp_path):
    path = write_thresholds(tmp_path / "s.zarr", noisy_losses(np.random.default_rng(0), "code"), "code")
    store = open_store(path).drop_vars(["threshold_loss", "threshold_zeros"])
    frame = pd.DataFrame(load("probes", "critical_sparsity").rows({"code": store}))
    assert set(frame["measure"]) == {"curve", "critical_sparsity", "zeros", "cross_mask"}


def test_masks_that_serve_all_domains_alike_have_no_separation(tmp_path):
    """The null: another domain's mask is as good as one's own; SEP is near 0 over seeds, and covered."""
    values, covered = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        result = table(tmp_path, {name: noisy_losses(rng, name, own=1.5, noise=0.2) for name in DOMAINS})
        sep = result[(result["quantity"] == "sep") & (result["tokens"] == "content")]
        values += sep["value"].tolist()
        covered += ((sep["low"] <= 0) & (sep["high"] >= 0)).tolist()
    assert abs(np.mean(values)) < 0.01 and np.mean(covered) >= 0.88


def test_a_curve_that_stays_within_tolerance_is_a_lower_bound(tmp_path):
    rng = np.random.default_rng(1)
    result = table(tmp_path, {"code": noisy_losses(rng, "code", critical=2.0)})
    row = critical(result, "lower_bound")
    assert (row["value"], row["high"]) == (0.99, 1.0)


def test_few_documents_have_no_interval(tmp_path):
    result = table(tmp_path, {"code": noisy_losses(np.random.default_rng(1), "code", documents=3)})
    assert result["value"].notna().all() and result["low"].isna().all() and result["high"].isna().all()


def test_no_cross_level_no_cross_rows(tmp_path):
    store = open_store(
        write_thresholds(tmp_path / "s.zarr", noisy_losses(np.random.default_rng(1), "code"), "code")
    )
    frame = pd.DataFrame(load("probes", "critical_sparsity").rows({"code": store.isel(cross=slice(0))}))
    assert set(frame["measure"]) == {"curve", "critical_sparsity", "zeros"}


def test_broken_stores_are_one_line(tmp_path):
    good = noisy_losses(np.random.default_rng(0), "code")
    bad = good | {("mask", 0, "math"): (np.full((3, 12), np.nan), np.zeros(4))}
    with pytest.raises(InputError, match="mask_loss is not finite"):
        table(tmp_path, {"code": bad})
    cut = write_thresholds(tmp_path / "cut.zarr", good, "code")
    next(path for path in (cut / "curve_loss" / "c").rglob("*") if path.is_file()).unlink()
    with pytest.raises(InputError, match="damaged"):
        probe_table(str(tmp_path / "t.csv"), probe="critical_sparsity", thresholds=[str(cut)])
    other = str(write_scores(tmp_path / "other.zarr", np.ones((2, 5)), "math"))
    with pytest.raises(InputError, match="curve_loss"):
        probe_table(str(tmp_path / "t.csv"), probe="critical_sparsity", thresholds=[other])
    stores = [
        str(write_thresholds(tmp_path / f"{name}.zarr", good, name, model_sha256=name))
        for name in ("code", "math")
    ]
    with pytest.raises(InputError, match="other weights"):
        probe_table(str(tmp_path / "t.csv"), probe="critical_sparsity", thresholds=stores)
