"""The drift probe on a store whose every number is known."""

import numpy as np
import pytest
import xarray as xr
from planted import one
from scipy import stats

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import clusters, drift
from implicit_sparsity.options import load

DOCUMENTS, KL = 5, np.array([[0.1, 0.2, 0.4, 0.1, 0.2], [1.0, 2, 3, 4, 5]])
DIMS = ("reference", "domain", "layer", "measure", "left_out")
LEFT_OUT = np.array([0, 0.01, -0.02, 0.03, -0.01, 0.02])  # what leaving out none, and each document, adds


def store(**attrs):
    """Two references, two domains, three layers; a value tells where it stands."""
    shape = 2, 2, 3, len(drift.MEASURES)
    values = 0.2 + 0.1 * np.indices(shape)[0] + 0.05 * np.indices(shape)[1] + 0.01 * np.indices(shape)[2]
    values = values + 0.001 * np.arange(len(drift.MEASURES))
    variables = {
        "drift": (DIMS, values[..., None] + LEFT_OUT),
        "unrelated": (DIMS[:-1], values + 0.5),
        "kl_content": (("domain", "document"), KL),
        "kl_completion": (("domain", "document"), 2 * KL),
        "content": (("domain", "document"), np.full(KL.shape, 3)),
        "completion": (("domain", "document"), np.full(KL.shape, 5)),
    }
    names = {"reference": ["base", "previous"], "domain": ["code", "math"], "layer": [0, 1, 2]}
    names |= {"measure": list(drift.MEASURES), "left_out": range(-1, DOCUMENTS)}
    coords = {name: list(labels) for name, labels in names.items()}
    coords["group"] = (("domain", "document"), [list(range(DOCUMENTS))] * 2)
    return xr.Dataset(variables, coords, attrs)


def rows(dataset, **options) -> list[dict]:
    return load("probes", "representation_drift", **options).rows({"": dataset})


def test_there_is_a_row_of_everything():
    result = rows(store())
    measures = 2 * 2 * 3 * (2 * len(drift.MEASURES) + 1)  # value and unrelated of each, and one floor
    assert len(result) == 2 * 2 + measures
    probe = load("probes", "representation_drift")
    assert all(tuple(row) == probe.COLUMNS for row in result) and {row["n"] for row in result} == {DOCUMENTS}
    assert probe.rows({}) == []


def test_values_are_those_of_their_place():
    keys = {"reference": "previous", "domain": "math", "layer": 2, "measure": "cosine"}
    place = 0.2 + 0.1 + 0.05 + 0.02 + 0.001 * list(drift.MEASURES).index("cosine")
    result = rows(store())
    assert one(result, **keys, quantity="signal")["value"] == pytest.approx(place)
    unrelated = one(result, **keys, quantity="unrelated")
    assert unrelated["value"] == pytest.approx(place + 0.5)
    assert np.isnan(unrelated["low"]) and np.isnan(unrelated["high"])


def test_the_floor_is_energy_less_excess():
    keys = {"reference": "base", "domain": "code", "layer": 1}
    floor = one(rows(store()), **keys, quantity="floor")
    assert floor["measure"] == "drift_energy" and floor["value"] == pytest.approx(-0.001)
    assert np.isnan(floor["low"])


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_intervals_are_over_documents_on_the_measures_scale(level):
    factor = stats.t.ppf((1 + level) / 2, DOCUMENTS - 1) * np.sqrt((DOCUMENTS - 1) / DOCUMENTS)
    keys = {"reference": "base", "domain": "code", "layer": 0, "quantity": "signal"}
    result = rows(store(), level=level)
    linear = one(result, **keys, measure="drift_excess")
    reach = factor * np.sqrt(((LEFT_OUT[1:] - LEFT_OUT[1:].mean()) ** 2).sum())
    ends = np.array([linear["low"], linear["high"]])
    assert ends == pytest.approx([linear["value"] - reach, linear["value"] + reach])
    logged = one(result, **keys, measure="relative_l2")
    apart = np.log(0.2 + LEFT_OUT[1:])
    reach = factor * np.sqrt(((apart - apart.mean()) ** 2).sum())
    assert [logged["low"], logged["high"]] == pytest.approx([0.2 * np.exp(-reach), 0.2 * np.exp(reach)])
    angle = one(result, **keys, measure="mean_angle")
    assert angle["unit"] == "rad" and angle["low"] < angle["value"] < angle["high"]


def test_a_domain_of_fewer_groups_has_fewer_left_out():
    """Of the second domain two documents are one group: its last place is empty, and does not count."""
    dataset = store().assign_coords(group=(("domain", "document"), [list("abcde"), list("abcda")]))
    dataset["drift"][:, 1, :, :, -1] = np.nan
    result = rows(dataset)
    signal = one(result, reference="base", domain="math", layer=0, measure="drift_excess", quantity="signal")
    assert (signal["n"], signal["groups"], signal["trusted"]) == (5, 4, False)
    spread = np.sqrt(3 / 4 * ((LEFT_OUT[1:5] - LEFT_OUT[1:5].mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, clusters.freedom([2, 1, 1, 1])) * spread
    assert signal["high"] - signal["value"] == pytest.approx(reach)
    kl = one(result, domain="math", measure="kl_content")
    assert kl["groups"] == 4 and kl["value"] == pytest.approx(np.mean(KL[1]))


def test_divergence_is_the_mean_of_documents_from_base_alone():
    result = rows(store())
    assert [row["value"] for row in result if row["measure"] == "kl_completion"] == pytest.approx([0.4, 6.0])
    kl = [row for row in result if row["measure"] == "kl_content"]
    assert [(row["domain"], row["reference"], row["layer"], row["unit"]) for row in kl] == [
        ("code", "base", None, "nat"),
        ("math", "base", None, "nat"),
    ]
    assert [row["value"] for row in kl] == pytest.approx([0.2, 3.0])
    left_out = np.log([(15 - x) / 4 for x in KL[1]])
    reach = stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * ((left_out - left_out.mean()) ** 2).sum())
    assert [kl[1]["low"], kl[1]["high"]] == pytest.approx([3 * np.exp(-reach), 3 * np.exp(reach)])


def test_documents_without_content_have_no_divergence_of_it():
    """Of the first domain one document is left out, of the second all: a row less."""
    dataset = store()
    for place in ((0, 2), *((1, i) for i in range(DOCUMENTS))):
        dataset["kl_content"][place], dataset["content"][place] = np.nan, 0
    result = [row for row in rows(dataset) if row["measure"].startswith("kl_")]
    assert [(row["domain"], row["measure"], row["n"]) for row in result] == [
        ("code", "kl_content", 4),
        ("code", "kl_completion", 5),
        ("math", "kl_completion", 5),
    ]
    assert result[0]["value"] == pytest.approx(0.15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_divergence_that_is_not_finite_is_one_line(bad):
    dataset = store(model="nano", checkpoint="lora.main.seed0.stage1")
    dataset["kl_content"][1, 3] = bad
    with pytest.raises(InputError) as error:
        rows(dataset)
    where = "nano.lora.main.seed0.stage1.?"
    assert str(error.value) == f"{where}: the divergence from the base model is not finite"
