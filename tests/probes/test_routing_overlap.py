"""Routing probe: planted experts, exact chance, published counts, and studies with few or no mixtures."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import DOMAINS, TOKENS, noisy_scores, write_routing, write_scores
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import intervals, overlap
from implicit_sparsity.options import load
from implicit_sparsity.probes.routing_overlap import _specialised
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

GOLDEN = Path(__file__).resolve().parents[3] / "shared/golden/olmoe_routing.json"
EXPERTS, ACTIVE = 16, 4


def measure(folder, counts, active=ACTIVE, **options):
    """Table of stores with ``counts``: domain -> routed tokens [half, layer, expert]."""
    datasets = {
        domain: open_store(write_routing(folder / f"{domain}.zarr", routed, domain, active))
        for domain, routed in counts.items()
    }
    return pd.DataFrame(load("probes", "routing_overlap", **options).rows(datasets))


def values(frame, measure, quantity, own=False):
    """By layer and pair: of pairs of different domains, or of domains with themselves (``own``)."""
    same = frame["domain_a"] == frame["domain_b"]
    return frame[(same == own) & (frame["measure"] == measure) & (frame["quantity"] == quantity)][
        "value"
    ].to_numpy()


def planted(own, layers=2, tokens=TOKENS):
    """Domain i uses its own four experts for the share ``own`` of its tokens, else all 16 evenly."""
    counts = {}
    for i, domain in enumerate(DOMAINS):
        share = np.full(EXPERTS, (1 - own) / EXPERTS)
        share[4 * i : 4 * i + 4] += own / 4
        routed = np.rint(share * tokens * ACTIVE).astype(int)
        counts[domain] = np.tile(routed, (2, layers, 1))
    return counts


def test_domains_with_experts_of_their_own_are_at_the_floor_and_below(tmp_path):
    frame = measure(tmp_path, planted(1.0))
    chance = overlap.chance_iou(EXPERTS, ACTIVE)
    assert set(values(frame, "iou", "signal")) == {0} and set(values(frame, "iou", "ceiling", own=True)) == {
        1
    }
    np.testing.assert_allclose(values(frame, "iou", "floor"), chance)
    np.testing.assert_allclose(values(frame, "iou", "sep"), 1 / (1 - chance))
    assert set(values(frame, "jensen_shannon_bits", "signal")) == {1}
    assert set(values(frame, "weighted_jaccard", "signal")) == {0}
    np.testing.assert_allclose(values(frame, "max_share", "signal", own=True), 1)
    np.testing.assert_allclose(values(frame, "max_specialisation", "signal", own=True), 1)
    np.testing.assert_allclose(values(frame, "max_specialisation", "floor", own=True), 0.25)
    np.testing.assert_allclose(values(frame, "effective_experts", "signal", own=True), 4)
    np.testing.assert_allclose(values(frame, "normalised_information", "signal", own=True), 1)
    assert set(frame["experts"]) == {16} and set(frame["active"]) == {4} and set(frame["tokens"]) == {TOKENS}
    assert len(values(frame, "iou", "signal")) == 2 * 6  # layers x pairs


def test_partly_shared_experts_by_hand(tmp_path):
    frame = measure(tmp_path, planted(0.5, tokens=1600))
    # shares 0.15625 on four own experts and 0.03125 on the other twelve
    np.testing.assert_allclose(values(frame, "weighted_jaccard", "signal"), 0.5 / 1.5)
    np.testing.assert_allclose(
        values(frame, "max_share", "signal", own=True), 0.15625 / (0.15625 + 3 * 0.03125)
    )
    p, m = np.array([0.15625, 0.03125]), np.array([0.0625, 0.0625])
    bits = (np.array([4, 12]) * p * np.log2(p / m)).sum()
    np.testing.assert_allclose(values(frame, "normalised_information", "signal", own=True), bits / 2)
    np.testing.assert_allclose(values(frame, "normalised_information", "floor", own=True), 0, atol=1e-12)


def test_equal_domains_reach_the_ceiling(tmp_path):
    """Tokens of one distribution for all: SEP and information are near 0, for every measure, over seeds."""
    result = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.full(EXPERTS, 0.7))
        counts = {domain: rng.multinomial(TOKENS * ACTIVE, p, size=(2, 6)) for domain in DOMAINS}
        frame = measure(tmp_path / str(seed), counts)
        result.append([np.nanmean(values(frame, m, "sep")) for m in
                      ("iou", "weighted_jaccard", "jensen_shannon_bits")])  # fmt: skip
        information = values(frame, "normalised_information", "signal", own=True)
        assert (information < 0.01).all()
    assert np.abs(np.mean(result, axis=0)).max() < 0.05


def test_weight_and_tokens_are_different_scores(tmp_path):
    counts = planted(0.5)
    weights = np.flip(counts["code"], axis=-1) / ACTIVE
    store = open_store(write_routing(tmp_path / "s.zarr", counts["code"], "code", ACTIVE, weights=weights))
    other = open_store(write_routing(tmp_path / "t.zarr", counts["general"], "general", ACTIVE))
    datasets = {"code": store, "general": other}
    iou = {
        score: values(
            pd.DataFrame(load("probes", "routing_overlap", score=score).rows(datasets)), "iou", "signal"
        )
        for score in ("tokens", "weight")
    }
    assert set(iou["tokens"]) == {0} and set(iou["weight"]) == {1}


def test_size_of_the_sets_is_an_option(tmp_path):
    frame = measure(tmp_path, planted(0.5), k=[1, 0.5])
    tops = frame[frame["measure"] == "iou"][["k", "top"]].drop_duplicates()
    assert tops.to_numpy().tolist() == [[1, 1], [0.5, 8]]


def test_fewer_used_experts_than_the_set_is_undefined(tmp_path):
    counts = planted(0.5)
    counts["math"] = np.zeros_like(counts["math"])
    counts["math"][..., :2] = TOKENS * ACTIVE // 2
    frame = measure(tmp_path, counts)
    math = frame[
        (frame["measure"] == "iou") & (frame["domain_b"] == "math") & (frame["quantity"] == "signal")
    ]
    assert len(math) and math["value"].isna().all()


@pytest.mark.parametrize("kinds", ["dense", "moe", "both"])
def test_table_of_a_study_with_some_or_no_mixtures(tmp_path, kinds):
    stores = []
    if kinds != "moe":
        rng = np.random.default_rng(0)
        for domain, scores in noisy_scores(rng, 2, 50).items():
            stores.append(str(write_scores(tmp_path / f"dense.{domain}.zarr", scores, domain)))
    if kinds != "dense":
        for domain, counts in planted(0.7).items():
            stores.append(str(write_routing(tmp_path / f"moe.{domain}.zarr", counts, domain, ACTIVE)))
    path = tmp_path / "routing_overlap.csv"
    probe_table(str(path), probe="routing_overlap", activations=stores)
    header = path.read_text().splitlines()[0].split(",")
    assert header[:3] == ["model", "revision", "checkpoint"] and "experts" in header
    if kinds == "dense":
        assert len(path.read_text().splitlines()) == 1
        with pytest.raises(InputError, match="no rows"):
            read_table(path)
    else:
        table = read_table(path)
        assert set(table["model"]) == {"moe"} and set(table["revision"]) == {"scratch-1"}
        assert list(table.columns) == header and table["value"].notna().all()


def test_broken_stores_are_one_line(tmp_path):
    good = planted(0.5)
    with pytest.raises(InputError, match="routed no token"):
        measure(tmp_path / "a", good | {"math": good["math"] * np.array([1, 0])[None, :, None]})
    with pytest.raises(InputError, match="experts"):
        measure(tmp_path / "b", good | {"math": good["math"][..., :8] * 2})
    with pytest.raises(InputError, match="unequal token budget"):
        measure(tmp_path / "c", good | {"math": good["math"] * 2})
    with pytest.raises(InputError, match="equally many experts"):
        measure(
            tmp_path / "d", {name: counts + np.eye(EXPERTS, dtype=int)[0] for name, counts in good.items()}
        )
    dense = open_store(write_scores(tmp_path / "d.zarr", np.ones((2, 5)), "law"))
    moe = open_store(write_routing(tmp_path / "m.zarr", good["code"], "code", ACTIVE))
    with pytest.raises(InputError, match="without routing"):
        load("probes", "routing_overlap").rows({"code": moe, "law": dense})


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is not there")
def test_published_routing_of_olmoe_is_reproduced(tmp_path):
    """Published counts as a store of two equal halves, through the probe itself."""
    golden = json.loads(GOLDEN.read_text())
    layers, domains = list(golden["expected"]), golden["domains"]
    counts = {d: np.array([[golden["counts"][d][layer] for layer in layers]] * 2) for d in domains}
    frame = measure(tmp_path, counts, active=golden["top_k"])
    assert set(frame["active"]) == {golden["top_k"]} and set(frame["experts"]) == {golden["n_experts"]}
    pairs = len(list(combinations(domains, 2)))
    result = {m: values(frame, m, "signal").reshape(pairs, len(layers)) for m in
             ("iou", "weighted_jaccard", "jensen_shannon_bits")}  # fmt: skip
    np.testing.assert_allclose(values(frame, "iou", "floor"), golden["chance_iou_exact"], atol=1e-6)
    github = frame[(frame["measure"] == "max_specialisation") & (frame["domain_a"] == "github")]
    github = github[github["quantity"] == "signal"]["value"].to_numpy()
    for i, layer in enumerate(layers):
        mine = {
            "mean_pairwise_top_k_iou": result["iou"][:, i].mean(),
            "min": result["iou"][:, i].min(),
            "max": result["iou"][:, i].max(),
            "mean_weighted_jaccard": result["weighted_jaccard"][:, i].mean(),
            "mean_jsd_bits": result["jensen_shannon_bits"][:, i].mean(),
            "max_domain_specialisation_github": github[i],
        }
        assert set(mine) == set(golden["expected"][layer])
        for name, value in mine.items():
            assert value == pytest.approx(golden["expected"][layer][name], abs=1e-6), (layer, name)


def test_specialisation_of_experts_is_covered():
    """Two domains' routing by documents: intervals of all that is told of a domain and of both."""
    planted = np.random.default_rng(7).dirichlet(np.ones(16) * 2, 2)
    names = ["max", "share", "effective"] * 2 + ["information"]

    def drawn(rng):
        shares = [rng.dirichlet(40 * planted[d], 24) for d in (0, 0, 1, 1)]
        return [np.stack([rng.multinomial(4 * rng.integers(40, 128), s) for s in half]) for half in shares]

    def reported(*halves):
        return _specialised(*halves, active=4)

    fresh = [reported(*(half.sum(0) for half in drawn(np.random.default_rng([1, i])))) for i in range(800)]
    truth, hits = np.mean(fresh, axis=0), []
    for seed in range(200):
        _, low, high = intervals.smooth_interval(reported, *drawn(np.random.default_rng([2, seed])), draws=96)
        hits.append((low <= truth) & (truth <= high))
    shares = dict(zip(names, np.mean(hits, axis=0)))
    assert all(0.9 <= share <= 0.985 for share in shares.values()), shares
