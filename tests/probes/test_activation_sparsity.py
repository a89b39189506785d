"""Sparsity probe on stores whose counts are known by construction."""

import numpy as np
import pandas as pd
import pytest
from planted import noisy_scores, write_scores
from test_activation_overlap import table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import sparsity
from implicit_sparsity.options import load
from implicit_sparsity.storage.store import open_store


def measure(path, scores, **options):
    dataset = open_store(write_scores(path, scores, "code"))
    return pd.DataFrame(load("probes", "activation_sparsity", **options).rows({"code": dataset}))


def test_every_measure_of_known_counts(tmp_path):
    scores = np.zeros((2, 2, 10))
    scores[:, 0, :4] = (
        0.5  # layer 0: four neurons on in half of the tokens; layer 1 differs between the halves
    )
    scores[0, 1, :1], scores[1, 1, :10] = 0.8, 0.8
    frame = measure(tmp_path / "s.zarr", scores, top_p=[0.5]).set_index(["layer", "half"])
    keys = ["measure", "parameter", "value"]

    def value(layer, half, measure, parameter=None):
        rows = frame.loc[(layer, half), keys]
        rows = rows[rows["measure"] == measure]
        return (rows if parameter is None else rows[rows["parameter"] == parameter])["value"].item()

    assert value(0, "a", "zero_share") == pytest.approx(0.6)
    assert value(0, "a", "below_share", 0.01) == pytest.approx(1 - 0.4 * 0.5)
    assert value(0, "a", "below_share", 0.1) == pytest.approx(1 - 0.4 * 0.25)
    assert value(0, "b", "top_p_share", 0.5) == pytest.approx(0.2)
    assert value(0, "a", "participation_ratio") == pytest.approx(0.4)
    assert value(0, "a", "hoyer") == pytest.approx(float(sparsity.hoyer(scores[0, 0])))
    assert value(1, "a", "gini") == pytest.approx(0.9)
    assert value(1, "b", "gini") == pytest.approx(0.0)
    assert set(frame["scope"]) == {"token", "domain"} and set(frame["tokens"]) == {1000}


def test_a_layer_of_zeros_has_a_zero_share_and_no_distribution(tmp_path):
    frame = measure(tmp_path / "s.zarr", np.zeros((1, 10)))
    assert frame.loc[frame["measure"] == "zero_share", "value"].eq(1).all()
    assert frame.loc[frame["scope"] == "domain", "value"].isna().all()


def test_options_are_checked():
    for top_p in ([1.5], [-0.1], ["half"], []):
        with pytest.raises(InputError, match="top_p"):
            load("probes", "activation_sparsity", top_p=top_p)


def test_sparsity_has_intervals_over_documents(tmp_path):
    result = table(tmp_path, "activation_sparsity", noisy_scores(np.random.default_rng(0), 2, 120))
    assert (result["low"] <= result["value"]).all() and (result["value"] <= result["high"]).all()
    assert ((result["high"] - result["low"]) > 0).mean() > 0.9
    assert set(result["n"]) == {12} and set(result["unit"].astype(str)) == {"1"}
    share = result[result["measure"] == "below_share"]
    assert ((share["high"] - share["low"]) < 0.1).all()
