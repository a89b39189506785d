"""Overlap of planted stores: sets known by construction, intervals, controls, damage, sources of a domain."""

import numpy as np
import pandas as pd
import pytest
from planted import PAIR, noisy_scores, planted_sets, write_scores
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import pairs
from implicit_sparsity.metrics.overlap import chance_iou
from implicit_sparsity.storage.tables import read_table

SETS = planted_sets(2, 200, 20, 0, domains=("one", "other", "third", "fourth"))


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
    between = iou[iou["domain_a"] != iou["domain_b"]]
    values = {q: set(part["value"].round(9)) for q, part in between.groupby("quantity")}
    assert values["signal"] == {round(5 / 35, 9)} and values["ceiling"] == {1.0}
    assert values["floor"] == {round(chance_iou(200, 20), 9)}
    expected = (1 - 5 / 35) / (1 - chance_iou(200, 20))
    np.testing.assert_allclose(between[between["quantity"] == "sep"]["value"], expected)
    assert (between[between["quantity"] == "sep"]["n"] == 48).all()  # two domains, two halves, 12 documents
    hub = between[between["quantity"] == "floor_hub"]["value"]
    assert (hub > chance_iou(200, 20)).all() and (hub < 0.3).all()
    permuted = between[between["quantity"] == "sep_permuted"]
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


# Sources of a domain


def measured(folder, domains, controls=None, options=None, **more):
    table(folder, "activation_overlap", domains, controls, options or {"k": [20]}, **more)
    return read_table(folder / "activation_overlap.csv")


def documents(*given):
    """(source, scores) of each document, from (source, scores, documents) of each source."""
    return [(source, scores) for source, scores, count in given for _ in range(count)]


def quantity(rows, name, measure="iou"):
    return rows[(rows["quantity"] == name) & (rows["measure"] == measure)]


def test_sources_of_the_same_and_of_other_neurons(tmp_path):
    """code's sources use the same neurons, SEP 0; math's use others, SEP of the whole way from 1 to 0."""
    code = documents(("a", SETS["one"], 12), ("b", SETS["one"], 12))
    math = documents(("c", SETS["other"], 12), ("d", SETS["third"], 12))
    result = measured(tmp_path, {"code": code, "math": math})
    own = pairs.of_sources(result, one_domain=True)
    assert {tuple(row) for row in own[PAIR].to_numpy()} == {
        ("code", "a", "code", "b"),
        ("math", "c", "math", "d"),
    }
    assert set(own["measure"]) == {"iou", "weighted_jaccard"}
    sep = quantity(own, "sep").set_index("domain_a")
    np.testing.assert_allclose(sep.loc["code", "value"], 0, atol=1e-9)
    np.testing.assert_allclose(sep.loc["math", "value"], 1 / (1 - chance_iou(200, 20)))
    assert (sep["low"] <= sep["value"]).all() and (sep["value"] <= sep["high"]).all()
    assert set(quantity(own, "ceiling")["value"]) == {1.0}
    assert set(own["quantity"]) == {"signal", "ceiling", "floor", "sep", "floor_hub", "sep_hub"}
    assert set(own["n"]) == {48} and set(own["groups"]) == {12} and own["trusted"].all()
    assert set(own["tokens"]) == {12 * (1000 // 24)}
    across = pairs.of_sources(result, one_domain=False)
    assert len(across[PAIR].drop_duplicates()) == 4
    np.testing.assert_allclose(quantity(across, "sep")["value"], 1 / (1 - chance_iou(200, 20)))


def test_rows_of_domains_are_those_without_sources(tmp_path):
    plain = {name: SETS[name] for name in ("one", "other")}
    given = {name: documents(("a", x, 6), ("b", x, 6)) for name, x in plain.items()}
    whole = pairs.of_domains(measured(tmp_path / "given", given))
    alone = measured(tmp_path / "plain", plain, groups=12)
    assert len(pairs.of_domains(alone)) == len(alone) and pairs.of_sources(alone, True).empty
    pd.testing.assert_frame_equal(whole.reset_index(drop=True), alone, rtol=1e-6)


@pytest.mark.parametrize("where", ["one source", "half", "several in a part"])
def test_a_domain_of_one_source_has_no_rows_of_sources(tmp_path, where):
    given = {"one source": ["a"] * 12, "half": ["a"] * 11 + [""], "several in a part": [""] * 12}[where]
    code = [(name, SETS["one"]) for name in given]
    math = documents(("c", SETS["other"], 6), ("d", SETS["other"], 6))
    result = measured(tmp_path, {"code": code, "math": math})
    assert set(result.loc[result["source_a"] != "", "domain_a"]) == {"math"}
    assert len(pairs.of_domains(result)[["domain_a", "domain_b"]].drop_duplicates()) == 3


def test_few_documents_have_a_value_and_no_interval(tmp_path):
    """The larger source gives as many documents as the smaller one has."""
    code = documents(("a", SETS["one"], 12), ("b", SETS["other"], 3), ("c", SETS["third"], 5))
    own = pairs.of_sources(measured(tmp_path, {"code": code, "math": SETS["fourth"]}, groups=20), True)
    sep = (
        quantity(own, "sep")
        .groupby(["source_a", "source_b"])[["value", "low", "groups", "n", "trusted"]]
        .first()
    )
    assert sep["value"].notna().all() and not sep["trusted"].any()
    assert sep["low"].notna().to_dict() == {("a", "b"): False, ("a", "c"): True, ("b", "c"): False}
    assert sep["groups"].to_dict() == {("a", "b"): 3, ("a", "c"): 5, ("b", "c"): 3}
    assert sep["n"].to_dict() == {("a", "b"): 12, ("a", "c"): 20, ("b", "c"): 12}


@pytest.mark.parametrize("larger", [18, 27, 33])
def test_sources_of_one_distribution_and_unequal_size_have_sep_near_zero(tmp_path, larger):
    rng = np.random.default_rng(3)
    use = rng.lognormal(0, 0.5, (16, 200))
    names = ["a"] * larger + ["b"] * (36 - larger)
    code = [(name, use * rng.lognormal(0, 0.8, (2, *use.shape))) for name in names]
    own = pairs.of_sources(
        measured(tmp_path, {"code": code, "math": use}, groups=36, options={"k": [20], "draws": 8}), True
    )
    assert set(own["groups"]) == {36 - larger} and set(own["tokens"]) == {(36 - larger) * (1000 // 36)}
    assert 0.5 < quantity(own, "ceiling", "weighted_jaccard")["value"].mean() < 0.8
    assert abs(quantity(own, "sep", "weighted_jaccard")["value"].mean()) < 0.05
    assert larger == 33 or abs(quantity(own, "sep")["value"].mean()) < 0.1


def test_controls_of_sources_but_not_of_matched_tokens(tmp_path):
    code = documents(("a", SETS["one"], 6), ("b", SETS["other"], 6))
    math = documents(("c", SETS["third"], 6), ("d", SETS["third"], 6))
    both = {"code": code, "math": math}
    result = measured(tmp_path, both, {"bare": both, "matched": both})
    assert set(pairs.of_sources(result, True)["control"]) == {"", "bare"}
    assert set(result["control"]) == {"", "bare", "matched"}
