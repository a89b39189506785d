"""The probe of changed expert choices on a store whose every number is known."""

import numpy as np
import pytest
import xarray as xr
from planted import one
from scipy import stats

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import load

SPLITS, SHARES = ["both", "states_old_router"], ["shared_norm_share", "shared_projection"]
DIMS = ("reference", "domain", "layer", "split", "document")
DOCUMENTS = np.array([0.0, 0.1, 0.3, 0.2, 0.4])  # mean 0.2


def store():
    """Two references, one domain, two layers, five documents; a value tells where it stands."""
    place = np.indices((2, 1, 2, 2))
    changed = 0.4 * place[0] + 0.1 * place[2] + 0.02 * place[3]
    network = np.indices((3, 2, 1, 2))
    shared = 0.1 * network[0] + 0.05 * network[1] + 0.01 * network[3]
    variables = {
        "rerouted": (DIMS, changed[..., None] + DOCUMENTS),
        "rerouted_null": (DIMS[:-1], 0.9 - changed),
        "shared": (("network", "share", "domain", "layer", "document"), shared[..., None] + DOCUMENTS),
    }
    names = {"reference": ["base", "previous"], "domain": ["code"], "layer": [0, 1], "split": SPLITS}
    names |= {"network": ["base", "previous", "tuned"], "share": SHARES}
    names["group"] = (("domain", "document"), [list("abcde")])
    return xr.Dataset(variables, names, {"model": "moe", "checkpoint": "lora.main.seed0.stage2"})


def rows(dataset, **options) -> list[dict]:
    return load("probes", "routing_drift", **options).rows({"": dataset})


def test_there_is_a_row_of_everything_and_none_of_a_dense_model():
    result, probe = rows(store()), load("probes", "routing_drift")
    assert len(result) == 2 * 2 * 2 * 2 + 2 * 2 * 2 * 2  # changed and unrelated; shares, new and old
    assert all(set(row) == set(probe.COLUMNS) and row["n"] == row["groups"] == 5 for row in result)
    assert probe.rows({"": store().drop_vars("rerouted")}) == [] == probe.rows({})


def test_changed_choices_are_means_of_documents_at_their_place():
    keys = {"reference": "previous", "domain": "code", "layer": 1, "measure": "changed", "split": SPLITS[1]}
    for dataset in (store(), store().transpose(*reversed(DIMS), "network", "share")):
        result = rows(dataset)
        signal = one(result, **keys, quantity="signal")
        assert signal["value"] == pytest.approx(0.4 + 0.1 + 0.02 + 0.2)
        unrelated = one(result, **keys, quantity="unrelated")
        assert unrelated["value"] == pytest.approx(0.9 - 0.52)
        assert np.isnan(unrelated["low"]) and np.isnan(unrelated["high"])


@pytest.mark.parametrize("level", [0.95, 0.6])
def test_the_interval_of_a_mean_is_students(level):
    keys = {"reference": "base", "layer": 0, "split": "both", "quantity": "signal"}
    signal = one(rows(store(), level=level), **keys)
    expected = stats.ttest_1samp(DOCUMENTS, 0).confidence_interval(level)
    assert [signal["low"], signal["high"]] == pytest.approx([expected.low, expected.high])


def test_documents_of_one_group_are_left_out_together():
    dataset = store().assign_coords(group=(("domain", "document"), [list("aabca")]))
    signal = one(rows(dataset), reference="base", layer=0, split="both", quantity="signal")
    assert signal["value"] == pytest.approx(0.2) and (signal["n"], signal["groups"]) == (5, 3)
    assert np.isnan(signal["low"]) and not signal["trusted"]


def test_the_shared_experts_share_stands_beside_that_of_each_reference():
    result = rows(store())
    for number, reference in enumerate(("base", "previous")):
        keys = {"reference": reference, "layer": 1, "measure": "shared_projection", "split": ""}
        assert one(result, **keys, quantity="signal")["value"] == pytest.approx(0.2 + 0.05 + 0.01 + 0.2)
        old = one(result, **keys, quantity="reference")["value"]
        assert old == pytest.approx(0.1 * number + 0.05 + 0.01 + 0.2)


def test_shares_that_are_not_finite_are_one_line():
    dataset = store()
    dataset["rerouted"][0, 0, 1, 0, 2] = np.nan
    with pytest.raises(InputError) as error:
        rows(dataset)
    assert str(error.value) == "moe.lora.main.seed0.stage2.?: shares of changed choices are not finite"
