"""What probes share: means over the tokens that reached a neuron, groups, halves, fitting stores."""

import numpy as np
import pytest
import xarray as xr
from planted import metadata

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn, loading
from implicit_sparsity.options import load
from implicit_sparsity.passes import activation_pass, calibration
from implicit_sparsity.probes import base
from implicit_sparsity.probes.base import per_token
from implicit_sparsity.storage.store import open_store, write_store

EXPERT = np.array([0, 0, 1, 1, -1])  # two experts of two neurons, then a shared expert of one


@pytest.fixture
def mixture(tmp_path):
    """100 tokens a half; expert 0 gets 10, expert 1 none; the neurons' mean |h| there: 1, 2, -, -, 3."""
    routed = np.broadcast_to(np.array([10, 0]), (2, 1, 2))
    sums = np.broadcast_to(np.array([10.0, 20, 0, 0, 300]), (2, 1, 5))
    above = np.broadcast_to(np.array([5, 10, 0, 0, 50]), (2, 1, 1, 5))
    dims = ("half", "layer", "neuron")
    arrays = {
        "tokens": (("half",), np.array([100, 100]), metadata()),
        "sum_abs": (dims, sums, metadata()),
        "above_count": (("half", "layer", "threshold", "neuron"), above, metadata()),
        "zero_count": (("half", "layer"), np.full((2, 1), 12), metadata()),
        "routed_tokens": (("half", "layer", "expert_id"), routed, metadata()),
    }
    coords = {"half": np.array(["a", "b"]), "layer": [0], "expert_id": [0, 1], "threshold": [0.1]}
    coords |= {"expert": EXPERT, "unit": np.array([0, 1, 0, 1, 0])}
    attrs = {"model": "moe", "checkpoint": "base", "domain": "code"}
    return open_store(write_store(tmp_path / "s.zarr", arrays, coords, attrs))


def test_means_are_over_the_tokens_routed_there(mixture):
    np.testing.assert_allclose(per_token(mixture, mixture["sum_abs"])[0, 0], [1, 2, 0, 0, 3])


def test_only_reached_neurons_count_as_activations(mixture):
    rows = load("probes", "activation_sparsity", top_p=[0.5]).rows({"code": mixture})
    result = {
        (row["measure"], row["parameter"]): row["value"] for row in rows if row["parameter"] is not None
    }
    zero = next(row["value"] for row in rows if row["measure"] == "zero_share")
    assert zero == pytest.approx(12 / (10 + 10 + 100))
    assert result[("below_share", 0.1)] == pytest.approx(1 - 65 / 120)
    assert result[("top_p_share", 0.5)] == pytest.approx(1 / 5)  # 3 of 1 + 2 + 3


def test_overlap_of_experts_in_use(mixture):
    rows = load("probes", "activation_overlap", k=[2, 4]).rows({"code": mixture, "math": mixture}, {})
    signal = {
        row["k"]: row["value"] for row in rows if row["quantity"] == "signal" and row["measure"] == "iou"
    }
    assert signal[2] == 1
    assert np.isnan(signal[4])  # only three neurons are in use


HALVES = ["a", "b"]


def dense(sums, tokens=(10, 20), domain="code", **variables):
    """A dense store of sums [half, layer, neuron] over so many tokens."""
    sums = np.asarray(sums, np.float64)
    arrays = {"tokens": ("half", list(tokens)), "sum_abs": (("half", "layer", "neuron"), sums)} | variables
    attrs = {"model": "nano", "checkpoint": "base", "domain": domain}
    return xr.Dataset(arrays, {"half": HALVES, "layer": range(sums.shape[1])}, attrs)


def test_a_dense_mean_is_over_all_tokens_of_its_half_in_any_order_of_dimensions():
    sums = np.array([[[10.0, 5], [0, 20]], [[10, 5], [0, 20]]])
    dataset = dense(sums)
    expected = [[[1, 0.5], [0, 2]], [[0.5, 0.25], [0, 1]]]
    np.testing.assert_allclose(per_token(dataset, dataset["sum_abs"]), expected)
    turned = dataset["sum_abs"].transpose("neuron", "half", "layer")
    np.testing.assert_allclose(per_token(dataset, turned), expected)


def test_means_of_what_is_not_finite_or_of_no_tokens_are_one_line():
    sums = np.ones((2, 3, 2))
    sums[0, 0, 1], sums[1, 2, 0] = np.nan, np.inf
    dataset = dense(sums)
    with pytest.raises(InputError) as error:
        per_token(dataset, dataset["sum_abs"])
    assert str(error.value) == "nano.base.code: sum_abs is not finite in layers [0, 2]"
    dataset = dense(np.ones((2, 1, 2)), tokens=(10, 0))
    with pytest.raises(InputError) as error:
        per_token(dataset, dataset["sum_abs"])
    assert str(error.value) == "nano.base.code: a half has no tokens: too few documents for two halves"


def test_an_expert_is_found_by_its_id_not_by_its_place():
    """Experts 4 and 7 alone are in the store, 7 first; the last neuron is the shared expert's."""
    routed = xr.DataArray([[[3, 5]], [[2, 4]]], dims=("half", "layer", "expert_id"))
    dataset = dense(np.ones((2, 1, 4)), routed_tokens=routed)
    dataset = dataset.assign_coords(expert_id=[7, 4], expert=("neuron", [4, 4, 7, -1]))
    reached = base.routed_per_neuron(dataset)
    np.testing.assert_array_equal(reached[:, 0], [[5, 5, 3, 10], [4, 4, 2, 20]])


def grouped(**more):
    """Two halves of two groups of documents, one layer, two neurons."""
    sums = np.arange(8.0).reshape(2, 2, 1, 2)
    groups = {
        "group_sum_abs": (("half", "group", "layer", "neuron"), sums),
        "group_tokens": (("half", "group"), [[4, 6], [5, 15]]),
        "documents": ("half", [2, 3]),
        "document_groups": ("half", [2, 2]),
    }
    return dense(sums.sum(axis=1), **groups, **more)


def test_groups_of_a_dense_store_have_one_count():
    sums, counts, owner = base.group_sums(grouped(), 0)
    np.testing.assert_array_equal(sums, [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    np.testing.assert_array_equal(counts, [[[4], [6]], [[5], [15]]])
    assert owner is None and base.counted(grouped()) == {"n": 5, "groups": 2, "trusted": False}
    silent = base.counted(grouped(), dense(np.ones((2, 1, 2))))
    assert silent == {"n": 5, "groups": 0, "trusted": False}, "a store does not say"


def test_groups_of_a_mixture_have_a_count_an_expert_and_the_last_is_that_of_all_tokens():
    routed = (("half", "group", "layer", "expert_id"), [[[[1]], [[2]]], [[[3]], [[4]]]])
    dataset = grouped(group_routed_tokens=routed)
    dataset = dataset.assign_coords(expert_id=[3], expert=("neuron", [3, -1]))
    _, counts, owner = base.group_sums(dataset, 0)
    np.testing.assert_array_equal(counts, [[[1, 4], [2, 6]], [[3, 5], [4, 15]]])
    np.testing.assert_array_equal(counts[0][:, owner], [[1, 4], [2, 6]])


def test_group_sums_that_are_not_finite_are_one_line():
    dataset = grouped()
    dataset["group_sum_abs"][1, 0, 0, 1] = np.inf
    with pytest.raises(InputError) as error:
        base.group_sums(dataset, 0)
    assert str(error.value) == "nano.base.code: group_sum_abs is not finite in layer 0"


def test_halves_have_groups_where_the_store_has_and_a_factor_for_their_sums_alone():
    scores = np.array([[[1.0, 2]], [[3, 4]]])
    plain = base.halves_of(dense(np.ones((2, 1, 2))), scores, 0)
    assert [half.groups for half in plain] == [0, 0] and plain[1].score.tolist() == [3, 4]
    first, second = base.halves_of(grouped(), scores, 0, factor=np.array([1.0, 10]))
    assert first.score.tolist() == [1, 2] and first.groups == 2
    np.testing.assert_array_equal(second.sums, [[4, 50], [6, 70]])
    np.testing.assert_allclose(first.weighted(np.array([1, 1])), [2 / 10, 40 / 10])


def test_rows_of_a_kind_stand_together_in_the_order_met():
    rows = [
        {"layer": layer, "measure": m, "value": v}
        for v, (layer, m) in enumerate([(0, "x"), (0, "y"), (1, "x")])
    ]
    rows += [{"layer": 0, "measure": "y", "value": 9, "low": 1, "high": 2}]
    assert [row["value"] for row in base.by_kind(rows)] == [0, 1, 9, 2]
    assert [row["value"] for row in base.by_kind(rows, "layer")] == [0, 2, 1, 9]
    assert base.by_kind([]) == []


def test_stores_of_controls_are_by_control_then_by_domain():
    stores = {"code.bare": 1, "code.matched": 2, "math.bare": 3}
    assert base.by_control(stores) == {"bare": {"code": 1, "math": 3}, "matched": {"code": 2}}
    assert base.by_control({}) == {}


def test_budgets_may_differ_by_the_tolerance_and_the_least_counts():
    stores = {"code": dense(np.ones((2, 1, 2)), (100, 95)), "math": dense(np.ones((2, 1, 2)), (98, 97))}
    assert base.check_comparable(stores, 0.05) == 95
    with pytest.raises(InputError) as error:
        base.check_comparable(stores, 0.04)
    message = "halves of unequal token budget: code/b has 95, code/a has 100"
    assert str(error.value) == f"{message} (more than 4% apart; overlap grows with the budget)"


def test_stores_that_cannot_be_compared_are_one_line():
    stores = {"code": dense(np.ones((2, 1, 2))), "math": dense(np.ones((2, 1, 3)))}
    with pytest.raises(InputError) as error:
        base.check_comparable(stores, 1.0)
    message = "stores of different models (layers x neurons)"
    assert str(error.value) == f"{message}: code 1 x 2, math 1 x 3"
    with pytest.raises(InputError) as error:
        base.check_comparable({"code": stores["code"].isel(half=[0])}, 1.0)
    assert str(error.value) == "nano.base.code: 1 halves, not 2"


def test_a_probe_reads_its_variables_of_activations_and_all_of_other_stores():
    probe = base.ActivityProbe()
    assert probe.reads("activations") == probe.reads("controls") == (probe.variables(), probe.optional())
    assert probe.reads("activations_base")[0] == ("tokens", "sum_abs")
    assert probe.reads("drift") == (None, ()) and base.Probe().reads("activations") == (
        None,
        ("routed_tokens",),
    )


@pytest.fixture(scope="module")
def mixed(nano, tmp_path_factory):
    """(network, {domain: store}) of a mixture with a dense layer in its middle: 128, 64 and 128 neurons."""
    folder, tokens = nano("some_dense")
    model, stores = loading.load(folder, device="cpu"), {}
    blocks, options = ffn.feed_forwards(model), {"tokens": 120, "skip_first": 1, "groups": 6}
    options |= {"top_k": (0.1,), "thresholds": (0.1,), "batch_tokens": 256}
    for domain in ("code", "math"):
        shards = Tokens(tokens[domain])
        splits = [shards.split(f"probe_{half}") for half in "ab"]
        halves = [activation_pass.measure_half(model, blocks, split, [], options) for split in splits]
        attrs = {"model": "m", "checkpoint": "base", "domain": domain, "model_sha256": "x"}
        place = tmp_path_factory.mktemp("mixed") / "s.zarr"
        stores[domain] = open_store(
            write_store(place, *activation_pass.as_store(halves, blocks, options), attrs)
        )
    return model, stores


def test_layers_of_several_forms_are_measured_as_if_each_form_were_a_network(mixed):
    """Sizes of sets and shares are those of the layer's own neurons, not of the widest layer's."""
    _, stores = mixed
    forms = base.by_form(stores)
    assert [dict(part["code"].sizes)["neuron"] for (part,) in forms] == [128, 64]
    routed, dense = (part["code"] for (part,) in forms)
    assert routed["layer"].values.tolist() == [0, 2] and dense["layer"].values.tolist() == [1]
    assert "expert" not in dense.coords and "routed_tokens" not in dense
    whole = stores["code"]["sum_abs"].sel(layer=1).values
    assert not whole[:, 64:].any(), "nothing is behind a layer's last neuron"
    tokens = stores["code"]["tokens"].values[:, None]
    np.testing.assert_allclose(per_token(dense, dense["sum_abs"])[:, 0], whole[:, :64] / tokens)
    tops = {
        row["layer"]: (row["top"], row["neurons"]) for row in load("probes", "hubs", k=(0.1,)).table(stores)
    }
    assert tops == {0: (13, 128), 1: (6, 64), 2: (13, 128)}
    rows = load("probes", "activation_overlap", k=(0.1,)).table(stores, {})
    assert {row["layer"]: row["top"] for row in rows if row["measure"] == "iou"} == {0: 13, 1: 6, 2: 13}
    for row in load("probes", "activation_sparsity").table(stores):
        assert 0 <= row["value"] <= 1 or row["measure"] == "participation_ratio", row
    bare = {domain: store.drop_dims("neuron") for domain, store in stores.items()}  # as that probe reads them
    assert {row["layer"] for row in load("probes", "routing_overlap").table(bare)} == {0, 2}


def test_masks_and_thresholds_go_by_a_layers_own_neurons(mixed):
    model, stores = mixed
    made = calibration.calibrate(stores["code"], "x", ffn.feed_forwards(model))
    assert made.sizes.tolist() == [128, 64, 128] and made.retained(0.75).sum(1).tolist() == [32, 16, 32]
    assert calibration.random_mask(made.sizes, 0.75, 0).sum(1).tolist() == [32, 16, 32]
    assert not made.retained(0.0)[1, 64:].any() and made.retained(0.0)[1, :64].all()
