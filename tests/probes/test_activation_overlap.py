"""Overlap probe: planted sets, identical domains, unrelated halves, routing, and stores that do not fit."""

import numpy as np
import pandas as pd
import pytest
from planted import DOMAINS, noisy_scores, planted_sets, write_scores
from probe_table import probe_table

from implicit_sparsity import probes
from implicit_sparsity.errors import InputError
from implicit_sparsity.overlap import chance_iou
from implicit_sparsity.store import open_store


def measure(folder, scores, **options):
    datasets = {
        domain: open_store(write_scores(folder / f"{domain}.zarr", values, domain))
        for domain, values in scores.items()
    }
    return pd.DataFrame(probes.load("activation_overlap", **options).rows(datasets))


def values(frame, quantity, measure="iou"):
    """Of pairs of different domains."""
    pairs = frame[(frame["domain_a"] != frame["domain_b"]) & (frame["measure"] == measure)]
    return pairs.loc[pairs["quantity"] == quantity, "value"].to_numpy()


@pytest.mark.parametrize("shared", [0, 5, 20])
def test_planted_sets_are_found(tmp_path, shared):
    neurons, k = 200, 20
    frame = measure(tmp_path, planted_sets(3, neurons, k, shared), k=[0.1])
    iou, floor = shared / (2 * k - shared), chance_iou(neurons, k)
    np.testing.assert_allclose(values(frame, "signal"), iou)
    np.testing.assert_allclose(values(frame, "ceiling"), 1)
    np.testing.assert_allclose(values(frame, "floor"), floor)
    np.testing.assert_allclose(values(frame, "sep"), (1 - iou) / (1 - floor))
    assert len(values(frame, "signal")) == 3 * 6  # layers x pairs of four domains
    assert set(frame["neurons"]) == {neurons} and set(frame.loc[frame["measure"] == "iou", "top"]) == {k}


def test_sep_is_near_zero_where_domains_differ_only_by_noise(tmp_path):
    rng = np.random.default_rng(0)
    frame = measure(tmp_path, noisy_scores(rng, 20, 400, spread=0.0), k=[0.1])
    sep = values(frame, "sep")
    assert abs(sep.mean()) < 0.03 and (sep < 0).any()
    apart = measure(tmp_path, noisy_scores(rng, 20, 400, spread=1.5), k=[0.1])
    assert values(apart, "sep").min() > 0.2


def test_signal_pairs_halves_across_domains(tmp_path):
    """Every half has its own set: the four cross pairings are averaged, and the ceiling is a against b."""
    eye = np.eye(8)[:, None, :]  # 8 one-layer score vectors, each with one neuron in use
    scores = {"code": np.stack([eye[0], eye[1]]), "math": np.stack([eye[0], eye[2]])}
    frame = measure(tmp_path, scores, k=[1])
    assert values(frame, "signal") == [0.25] and values(frame, "ceiling") == [0]
    assert np.isnan(values(frame, "sep")).all()  # ceiling below the floor: nothing to tell apart


def test_scores_choose_different_neurons(tmp_path):
    flat = {"code": np.full((1, 10), 0.5), "math": np.full((1, 10), 0.5)}
    flat["math"] = flat["math"] * np.linspace(
        1, 0.05, 10
    )  # by mean |h| the first win, as the ties of code do
    assert values(measure(tmp_path, flat, k=[2]), "signal") == [1]
    assert values(measure(tmp_path, flat, k=[2], score="contribution"), "signal") == [0]
    assert values(measure(tmp_path, flat, k=[2], score="top_count"), "signal") == [1]
    with pytest.raises(InputError, match="token_k"):
        measure(tmp_path, flat, k=[2], score="top_count", token_k=0.5)


def test_a_layer_that_is_not_in_use_has_no_set(tmp_path):
    scores = planted_sets(2, 50, 5, 0)
    scores["math"] = scores["math"] * np.array([[1.0], [0.0]])
    frame = measure(tmp_path, scores, k=[5])
    frame = frame[(frame["measure"] == "iou") & (frame["quantity"] == "signal")]
    dead = (frame["layer"] == 1) & (frame[["domain_a", "domain_b"]] == "math").any(axis=1)
    assert dead.sum() == 3
    assert frame.loc[dead, "value"].isna().all() and frame.loc[~dead, "value"].notna().all()


def test_shares_and_counts(tmp_path):
    scores = planted_sets(1, 50, 5, 0)
    frame = measure(tmp_path, scores, k=[0.001, 0.1, 7])
    assert set(frame.loc[frame["measure"] == "iou", "top"]) == {1, 5, 7}
    for bad in (0, 51, 2.5):
        with pytest.raises(InputError, match=str(bad)):
            measure(tmp_path, scores, k=[bad])


def test_options_are_checked():
    for options in (
        {"score": "loudness"},
        {"k": [-1]},
        {"k": []},
        {"kk": [1]},
        {"k": ["x"]},
        {"tolerance": 2},
    ):
        with pytest.raises(InputError):
            probes.load("activation_overlap", **options)
    with pytest.raises(InputError, match=r"no .*activation_overlapp\.py"):
        probes.load("activation_overlapp")


def test_unequal_budgets_are_refused_and_equal_ones_recorded(tmp_path):
    scores = planted_sets(1, 50, 5, 0, ["code", "math"])

    def run(tokens, **options):
        stores = {
            domain: open_store(write_scores(tmp_path / "s.zarr", scores[domain], domain, tokens=counts))
            for domain, counts in tokens.items()
        }
        return probes.load("activation_overlap", k=[5], **options).rows(stores)

    assert {row["tokens"] for row in run({"code": (1000, 995), "math": (1000, 999)})} == {995}
    for tokens in ({"code": (1000, 980), "math": (1000, 1000)}, {"code": (1000, 1000), "math": (900, 900)}):
        with pytest.raises(InputError, match="budget"):
            run(tokens)
        assert run(tokens, tolerance=0.2)
    with pytest.raises(InputError, match="too few documents"):
        run({"code": (0, 0), "math": (0, 0)})


def test_a_nan_and_another_models_store_are_one_line(tmp_path):
    scores = planted_sets(2, 50, 5, 0, ["code", "math"])
    scores["math"][1, 3] = np.nan
    with pytest.raises(InputError, match=r"nano\.base\.math.*layers \[1\]"):
        measure(tmp_path, scores | {"math": scores["math"] + 0}, k=[5])
    with pytest.raises(InputError, match="different models"):
        measure(tmp_path, {"code": np.ones((2, 50)), "math": np.ones((2, 60))}, k=[5])


def test_table_of_several_models_and_checkpoints(tmp_path):
    stores = []
    for model, neurons in (("small", 100), ("wide", 200)):
        for checkpoint in ("base", "lora.main.seed0.stage1"):
            for domain, score in planted_sets(2, neurons, 10, 2).items():
                path = tmp_path / f"{model}.{checkpoint}.{domain}.zarr"
                stores.append(str(write_scores(path, score, domain, model=model, checkpoint=checkpoint)))
    probe_table(str(tmp_path / "t.csv"), stores, "activation_overlap", {"k": [10]})
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame.groupby(["model", "checkpoint"]).ngroups == 4
    assert set(frame.loc[frame["model"] == "wide", "neurons"]) == {200}
    again = tmp_path / "again.csv"
    probe_table(str(again), stores, "activation_overlap", {"k": [10]})
    assert again.read_bytes() == (tmp_path / "t.csv").read_bytes()
    pairs = frame.loc[frame["quantity"] == "signal", ["domain_a", "domain_b"]].drop_duplicates()
    assert tuple(pairs.iloc[0]) == DOMAINS[:2]


def test_stores_of_other_weights_or_given_twice_are_refused(tmp_path):
    scores = planted_sets(1, 50, 5, 0)
    first = write_scores(tmp_path / "a.zarr", scores["code"], "code")
    other = write_scores(tmp_path / "b.zarr", scores["math"], "math", model_sha256="changed")
    with pytest.raises(InputError, match="other weights"):
        probe_table(str(tmp_path / "t.csv"), [str(first), str(other)], "activation_overlap", {"k": [5]})
    with pytest.raises(InputError, match="second store"):
        probe_table(str(tmp_path / "t.csv"), [str(first), str(first)], "activation_overlap", {"k": [5]})
    assert not (tmp_path / "t.csv").exists()
