"""Overlap, hubs and sparsity of planted stores: sets known by construction, intervals, controls, damage."""

import numpy as np
import pandas as pd
import pytest
from planted import noisy_scores, planted_sets, write_scores
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.overlap import chance_iou


def table(folder, probe, scores, controls=None, options=None, **more):
    """The table of one probe on stores of these scores, domain -> [layer, neuron]; ``more``: of stores."""
    more = {"groups": 12} | more
    paths = [str(write_scores(folder / f"{d}.zarr", s, d, **more)) for d, s in scores.items()]
    others = [
        str(write_scores(folder / f"{d}.{name}.zarr", s, d, control=name, **more))
        for name, domains in (controls or {}).items()
        for d, s in domains.items()
    ]
    out = folder / f"{probe}.csv"
    probe_table(str(out), probe, options, activations=paths, controls=others)
    return pd.read_csv(out, keep_default_na=False, na_values=["nan", ""], dtype={"control": str})


def test_planted_sets_are_recovered(tmp_path):
    """Of 20 neurons a domain 5 are shared: between domains 5 / 35, within a domain all."""
    result = table(tmp_path, "activation_overlap", planted_sets(3, 200, 20, 5), options={"k": [20]})
    iou = result[result["measure"] == "iou"]
    pairs = iou[iou["domain_a"] != iou["domain_b"]]
    values = {q: set(part["value"].round(9)) for q, part in pairs.groupby("quantity")}
    assert values["signal"] == {round(5 / 35, 9)} and values["ceiling"] == {1.0}
    assert values["floor"] == {round(chance_iou(200, 20), 9)}
    expected = (1 - 5 / 35) / (1 - chance_iou(200, 20))
    np.testing.assert_allclose(pairs[pairs["quantity"] == "sep"]["value"], expected)
    assert (pairs[pairs["quantity"] == "sep"]["n"] == 48).all()  # two domains, two halves, 12 documents
    hub = pairs[pairs["quantity"] == "floor_hub"]["value"]
    assert (hub > chance_iou(200, 20)).all() and (hub < 0.3).all()
    permuted = pairs[pairs["quantity"] == "sep_permuted"]
    assert (permuted["low"] <= 0).all() and (permuted["high"] >= 0).all()
    for column in ("low", "high", "unit", "n", "tokens", "control"):
        assert column in result
    assert result.loc[result["quantity"].isin(["signal", "ceiling", "sep"]), "low"].notna().all()


def test_intervals_stand_about_their_values(tmp_path):
    result = table(
        tmp_path, "activation_overlap", noisy_scores(np.random.default_rng(0), 2, 120), options={"k": [0.1]}
    )
    reported = result[result["quantity"].isin(["signal", "ceiling", "sep", "sep_hub"])]
    assert (reported["low"] <= reported["value"]).all() and (reported["value"] <= reported["high"]).all()
    assert (reported["high"] - reported["low"] > 0).mean() > 0.9
    assert set(result["measure"]) == {"iou", "spearman", "weighted_jaccard", "jensen_shannon_bits"}
    assert set(result.loc[result["measure"] == "jensen_shannon_bits", "unit"]) == {"bits"}


def test_a_store_without_groups_has_values_and_no_intervals(tmp_path):
    scores = planted_sets(1, 100, 10, 5)
    grouped = table(tmp_path / "a", "activation_overlap", scores, options={"k": [10]})
    plain = table(tmp_path / "b", "activation_overlap", scores, options={"k": [10]}, groups=0)
    assert plain[["low", "high"]].isna().all().all() and "permuted" not in set(plain["quantity"])
    keys = ["layer", "domain_a", "domain_b", "measure", "quantity"]
    both = plain.merge(grouped, on=keys)
    np.testing.assert_allclose(both["value_x"], both["value_y"])


def test_controls_are_rows_of_their_own(tmp_path):
    scores = planted_sets(2, 100, 10, 5)
    alike = dict.fromkeys(scores, next(iter(scores.values())))
    result = table(tmp_path, "activation_overlap", scores, {"matched": alike}, {"k": [10]})
    signal = result[(result["measure"] == "iou") & (result["quantity"] == "signal")]
    control = signal["control"].fillna("")
    assert set(signal.loc[control == "matched", "value"]) == {1.0}
    assert set(signal.loc[control == "", "value"].round(9)) == {round(5 / 15, 9)}


def test_group_sums_of_a_damaged_store_are_one_line(tmp_path):
    scores = planted_sets(2, 100, 10, 5)
    bad = {**scores, "math": scores["math"] * np.nan}
    with pytest.raises(InputError, match=r"nano\.base\.math.*not finite"):
        table(tmp_path / "nan", "activation_overlap", bad, options={"k": [10]})
    table(tmp_path, "hubs", scores, options={"k": [10]})
    file = next(f for f in (tmp_path / "code.zarr/group_sum_abs/c").rglob("*") if f.is_file())
    data = file.read_bytes()
    for damage in (data[: len(data) // 2], data[:-8] + bytes(8)):
        file.write_bytes(damage)
        with pytest.raises(InputError, match="damaged"):
            probe_table(
                str(tmp_path / "t.csv"),
                "hubs",
                {"k": [10]},
                activations=[str(p) for p in sorted(tmp_path.glob("*.zarr"))],
            )
    file.unlink()
    with pytest.raises(InputError, match="damaged"):
        probe_table(str(tmp_path / "t.csv"), "hubs", {"k": [10]}, activations=[str(tmp_path / "code.zarr")])


def test_a_layer_of_zeros_is_undefined_and_no_error(tmp_path):
    scores = {d: np.where(np.arange(2)[:, None] == 1, 0.0, s) for d, s in planted_sets(2, 100, 10, 5).items()}
    result = table(tmp_path, "activation_overlap", scores, options={"k": [10]})
    dead = result[(result["layer"] == 1) & result["quantity"].isin(["signal", "ceiling", "sep"])]
    assert dead["value"].isna().all()
    alive = result[(result["layer"] == 0) & (result["quantity"] == "signal")]
    assert alive["value"].notna().all()
