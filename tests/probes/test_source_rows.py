"""Sources of a domain against each other: planted neurons, budgets, few documents, who has rows."""

import numpy as np
import pandas as pd
import pytest
from planted import noisy_gradients, planted_sets, write_gradients
from test_activation_overlap import table

from implicit_sparsity.metrics import pairs
from implicit_sparsity.metrics.overlap import chance_iou
from implicit_sparsity.options import load
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

SETS = planted_sets(2, 200, 20, 0, domains=("one", "other", "third", "fourth"))
NAMES = ["domain_a", "source_a", "domain_b", "source_b"]


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
    assert {tuple(row) for row in own[NAMES].to_numpy()} == {
        ("code", "a", "code", "b"),
        ("math", "c", "math", "d"),
    }
    assert set(own["measure"]) == {"iou", "weighted_jaccard"}
    sep = quantity(own, "sep").set_index("domain_a")
    np.testing.assert_allclose(sep.loc["code", "value"], 0, atol=1e-9)
    np.testing.assert_allclose(sep.loc["math", "value"], 1 / (1 - chance_iou(200, 20)))
    assert (sep["low"] <= sep["value"]).all() and (sep["value"] <= sep["high"]).all()
    assert set(quantity(own, "ceiling")["value"]) == {1.0}
    assert {"floor", "floor_hub", "sep_hub", "permuted", "sep_permuted"} <= set(own["quantity"])
    assert set(own["n"]) == {48} and set(own["groups"]) == {12} and own["trusted"].all()
    assert set(own["tokens"]) == {12 * (1000 // 24)}
    across = pairs.of_sources(result, one_domain=False)
    assert len(across[NAMES].drop_duplicates()) == 4
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


def cosines(folder, domains, **more):
    """Table of gradients of domain -> (sketches [half, document, module, dim], source of each document)."""
    stores = {
        domain: open_store(write_gradients(folder / f"{domain}.zarr", x, domain, sources=names, **more))
        for domain, (x, names) in domains.items()
    }
    quick = {"resamples": 200, "permutations": 20, "k": (2,)}
    return pd.DataFrame(load("probes", "gradient_overlap", **quick).rows(stores))


def test_gradients_of_sources_that_point_the_same_way_and_not(tmp_path):
    """code's two sources have one mean gradient; math's have two, at a right angle."""
    names = ("x", "y", "z")
    x, y, z = noisy_gradients(
        np.random.default_rng(5), 0.0, 16, modules=20, noise=2.0, domains=names
    ).values()
    code = x, ["a"] * 8 + ["b"] * 8
    math = np.concatenate([y[:, :8], z[:, :8]], axis=1), ["c"] * 8 + ["d"] * 8
    result = cosines(tmp_path, {"code": code, "math": math})
    own, other = (pairs.of_sources(result, one) for one in (True, False))
    assert set(own["measure"]) == set(other["measure"]) == {"cosine"}
    assert {"signal", "ceiling", "sep", "floor_d_eff", "permuted", "sketch_error"} <= set(own["quantity"])
    found = quantity(own, "disattenuated", "cosine")
    for domain, truth in (("code", 1), ("math", 0)):
        rows = found[found["domain_a"] == domain]
        assert len(rows) == 21 and rows["value"].mean() == pytest.approx(truth, abs=0.06)
        assert ((rows["low"] <= truth) & (truth <= rows["high"])).mean() > 0.85
    found = quantity(other, "disattenuated", "cosine")
    assert len(found[NAMES].drop_duplicates()) == 4 and abs(found["value"].mean()) < 0.06
    assert set(own["n"]) == {16} and set(own["groups"]) == {16} and own["trusted"].all()
    alone = cosines(tmp_path / "alone", {"code": (x, None), "math": (math[0], None)})
    domains = pairs.of_domains(result).reset_index(drop=True)
    assert (alone["source_a"] == "").all() and (alone["source_b"] == "").all()
    pd.testing.assert_frame_equal(domains, alone, rtol=1e-6, atol=1e-9)


def test_a_group_of_two_sources_counts_for_neither(tmp_path):
    x, y = noisy_gradients(np.random.default_rng(6), 0.0, 8, modules=2, domains=("x", "y")).values()
    code = x, ["a"] * 3 + ["b"] * 5
    math = y, ["c"] * 8
    groups = [[0, 1, 2, 2, 3, 4, 5, 5]] * 2  # the third document of a and the first of b are one group
    result = cosines(tmp_path, {"code": code, "math": math}, names=groups)
    own = pairs.of_sources(result, True)
    assert {tuple(row) for row in own[NAMES].to_numpy()} == {("code", "a", "code", "b")}
    assert set(own["n"]) == {4} and set(own["groups"]) == {4} and not own["trusted"].any()
    assert pairs.of_sources(result, False).empty, "math has one source"
    few = cosines(tmp_path / "few", {"code": (x, ["a"] + ["b"] * 7), "math": math})
    few = quantity(pairs.of_sources(few, True), "disattenuated", "cosine")
    assert set(few["groups"]) == {2} and few[["low", "high"]].isna().all(axis=None)
