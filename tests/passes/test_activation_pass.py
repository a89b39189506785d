"""The streaming accumulators against the same sums over activations kept whole."""

from types import SimpleNamespace

import networks
import numpy as np
import pytest
import torch
from test_device_sums import GPU

from implicit_sparsity import errors
from implicit_sparsity.corpora.tokens import Document, Tokens
from implicit_sparsity.metrics import overlap
from implicit_sparsity.models import ffn, loading
from implicit_sparsity.models.hooks.watching import ffn_activations
from implicit_sparsity.passes import accumulators, activation_pass, document_groups

OPTIONS = {"tokens": 120, "skip_first": 1, "top_k": [0.1, 3], "thresholds": [0.01, 0.5], "batch_tokens": 64}


def whole(model, ids, keeps):
    """[layer] -> |h| of kept tokens [T, N] (NaN where a token was not routed), one document at a time."""
    blocks = ffn.feed_forwards(model)
    rows = [[] for _ in blocks]
    for tokens, keep in zip(ids, keeps, strict=True):
        table = [np.full((len(tokens), block.size), np.nan) for block in blocks]

        def observe(block, first, positions, h, _, table=table):
            at = slice(None) if positions is None else positions.numpy()
            table[block.layer][at, first : first + h.shape[1]] = h.abs().numpy()

        with torch.no_grad(), ffn_activations(model, observe):
            model(input_ids=torch.from_numpy(np.asarray(tokens).astype(np.int64))[None])
        for layer, values in enumerate(table):
            rows[layer].append(values[keep])
    return [np.concatenate(parts) for parts in rows]


OF_NEURONS = ("sum_abs", "sum_sq", "max_abs", "contribution", "top_count", "above_count")


@pytest.mark.parametrize("kind", ["dense", "mixture", "fused", "unshared", "some_dense", "first_dense"])
def test_sums_equal_those_of_whole_activations(nano, kind):
    """Behind a layer's last neuron there is nothing."""
    folder, tokens = nano(kind)
    model, shards = loading.load(folder), Tokens(tokens["code"])
    blocks, split = ffn.feed_forwards(model), shards.split("probe_a")
    got = activation_pass.measure_half(model, blocks, split, shards.index["special_ids"], OPTIONS)
    ids, keeps, *_ = activation_pass.take_tokens(split, 120, 1, shards.index["special_ids"])
    assert got["tokens"] == sum(k.sum() for k in keeps) == 120
    for layer, h in enumerate(whole(model, ids, keeps)):
        n = blocks[layer].size
        assert not any(got[name][layer, ..., n:].any() for name in OF_NEURONS)
        np.testing.assert_allclose(got["sum_abs"][layer, :n], np.nansum(h, 0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got["sum_sq"][layer, :n], np.nansum(h * h, 0), rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(got["max_abs"][layer, :n], np.nan_to_num(h).max(0), rtol=1e-4)
        written = np.nansum(h, 0) * blocks[layer].down_norms().numpy()
        np.testing.assert_allclose(got["contribution"][layer, :n], written, rtol=1e-4, atol=1e-6)
        for first, last, *_ in blocks[layer].parts():
            part = h[~np.isnan(h[:, first])][:, first:last]
            if not len(part):
                continue
            for row, k in enumerate(overlap.top_sizes(OPTIONS["top_k"], last - first)):
                kth = np.sort(part, 1)[:, -k][:, None]
                assert np.array_equal(got["top_count"][layer, row, first:last], (part >= kth).sum(0))
            for row, eps in enumerate(OPTIONS["thresholds"]):
                above = (part >= eps * part.max(1, keepdims=True)).sum(0)
                assert abs(got["above_count"][layer, row, first:last] - above).max() <= 1
            if blocks[layer].experts and last <= blocks[layer].size - blocks[layer].shared:
                assert got["routed_tokens"][layer, first // blocks[layer].width] == len(part)


@pytest.mark.parametrize("kind", ["dense", "mixture", "first_dense"])
@pytest.mark.parametrize("groups", [2, 64])
def test_parts_are_whole_groups_of_documents(nano, kind, groups):
    """Sums over each part equal those of its documents measured alone, and together those of all."""
    folder, tokens = nano(kind)
    model, documents = loading.load(folder), Tokens(tokens["code"]).split("probe_a")
    split = [Document(d.ids, d.prompt, d.meta | {"source": "xy"[i % 2]}) for i, d in enumerate(documents)]
    blocks = ffn.feed_forwards(model)
    got = activation_pass.measure_half(model, blocks, split, [], OPTIONS | {"groups": groups})
    plain = activation_pass.measure_half(model, blocks, split, [], OPTIONS)
    assert not [name for name in plain if name.startswith("group_")]
    for name, value in plain.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    taken = activation_pass.take_tokens(split, 120, 1, [])
    part = document_groups.deal(taken.documents, [keep.sum() for keep in taken.keeps], groups)
    number = part.max() + 1
    assert got["document_groups"] == len(set(document_groups.names(taken.documents))) >= number
    assert got["group_sum_abs"].shape == (number, len(blocks), max(ffn.sizes(blocks)))
    np.testing.assert_allclose(got["group_sum_abs"].sum(0), got["sum_abs"], rtol=1e-5, atol=1e-6)
    for p in range(number):
        own = only(taken, part == p)
        one = activation_pass.measure(model, blocks, own, OPTIONS)
        assert got["group_tokens"][p] == one["tokens"]
        np.testing.assert_allclose(got["group_sum_abs"][p], one["sum_abs"], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(got["group_routed_tokens"][p], one["routed_tokens"])
        assert {got["source"][p]} == {d.meta["source"] for d in own.documents}
    assert set(got["source"]) == {"x", "y"}
    assert (got["group_sampled"].sum(0) > 0).all()
    assert (got["group_above"][..., 0] >= got["group_above"][..., 1]).all()
    assert got["group_sampled"].sum(0)[0] == got["histogram"][0].sum()


def only(taken, here):
    """Of what was taken, the documents that are ``here``, bool [D]."""
    parts = taken.ids, taken.keeps, taken.documents
    ids, keeps, documents = ([x for x, yes in zip(values, here) if yes] for values in parts)
    return activation_pass.Taken(ids, keeps, {"first": 0, "special": 0}, documents)


def test_halves_of_unequal_numbers_of_groups_share_a_store(nano):
    folder, tokens = nano("dense")
    model, split = loading.load(folder), Tokens(tokens["math"]).split("probe_a")
    blocks, options = ffn.feed_forwards(model), OPTIONS | {"groups": 64}
    taken = activation_pass.take_tokens(split, 240, 1, [])
    order = np.arange(len(taken.ids))
    halves = [activation_pass.measure(model, blocks, only(taken, order < n), options) for n in (2, 4)]
    arrays, coords = activation_pass.as_store(halves, blocks, options)
    dims, values, _ = arrays["group_sum_abs"]
    assert dims == ("half", "group", "layer", "neuron") and values.shape[:2] == (2, 4)
    assert (values[0, 2:] == 0).all() and (arrays["group_tokens"][1][0, 2:] == 0).all()
    assert arrays["document_groups"][1].tolist() == [2, 4]
    assert coords["source"][1].shape == (2, 4) and set(coords["source"][1][0, 2:]) == {""}


def test_batching_does_not_change_the_sums(nano):
    """Padding, order and batch size are not seen by the accumulators (to rounding)."""
    folder, tokens = nano("dense")
    model, split = loading.load(folder), Tokens(tokens["math"]).split("probe_b")
    blocks = ffn.feed_forwards(model)
    one, many = (
        activation_pass.measure_half(model, blocks, split, [], OPTIONS | {"batch_tokens": n})
        for n in (1, 4096)
    )
    np.testing.assert_allclose(one["sum_abs"], many["sum_abs"], rtol=1e-4)
    assert one["excluded_padding"] == 0 < many["excluded_padding"]


def test_histogram_counts_every_sampled_value(nano):
    folder, tokens = nano("dense")
    model, split = loading.load(folder), Tokens(tokens["math"]).split("probe_a")
    got = activation_pass.measure_half(model, ffn.feed_forwards(model), split, [], OPTIONS)
    assert got["histogram_tokens"] == -(-120 // accumulators.HISTOGRAM_STRIDE)
    assert (got["histogram"].sum(1) == got["histogram_tokens"] * 64).all()


def test_budget_is_exact_and_exclusions_are_counted():
    given = np.array([9, 1, 5, 5, 9, 5], np.uint32)
    documents = [SimpleNamespace(ids=given, meta={"group": i}) for i in range(3)]
    ids, keeps, excluded, _ = activation_pass.take_tokens(documents, 5, 1, {9})
    assert [len(x) for x in ids] == [6, 2] and sum(k.sum() for k in keeps) == 5
    assert excluded == {"first": 2, "special": 1}


def test_too_few_tokens_is_one_clear_line(nano):
    folder, tokens = nano("dense")
    model, shards = loading.load(folder), Tokens(tokens["math"])
    with pytest.raises(errors.InputError, match=r"holds \d+ tokens that count, 100000 are wanted"):
        activation_pass.measure_half(
            model, ffn.feed_forwards(model), shards.split("probe_a"), [], OPTIONS | {"tokens": 100_000}
        )


WIDER = {  # a thousand neurons a layer, so that 1 % of them is a set
    "llama": {"intermediate_size": 1024},
    "dense": {"intermediate_size": 1024},
    "mixture": {"moe_intermediate_size": 128, "shared_expert_intermediate_size": 128},
}


def probe(model) -> dict:
    random = np.random.default_rng(0)
    ids = [random.integers(0, 320, 48) for _ in range(24)]
    statistics = accumulators.ActivationStatistics(ffn.feed_forwards(model))
    activation_pass.run(model, ids, [np.arange(48) > 0] * 24, statistics, 512)
    return statistics.arrays()


@pytest.mark.parametrize("kind", WIDER)
def test_a_bfloat16_probe_finds_the_same_top_neurons(kind):
    """Of the top 1 % by mean |h| nine in ten are the same in every layer, and the mean IoU is 0.9 or more."""
    model = loading.create(networks.CONFIGS[kind] | WIDER[kind], 0).eval().requires_grad_(False)
    full, half = probe(model), probe(model.to(torch.bfloat16))
    assert not np.array_equal(full["sum_abs"], half["sum_abs"]), "nothing was computed in bfloat16"
    layers, neurons = full["sum_abs"].shape
    k = overlap.size_of(0.01, neurons)
    iou = overlap.top_k_iou(full["sum_abs"], half["sum_abs"], k)
    swapped = k - 2 * k * iou / (1 + iou)
    assert iou.shape == (layers,) and iou.mean() >= 0.9 and round(swapped.max()) <= max(1, 0.1 * k)
    other = loading.create(networks.CONFIGS[kind] | WIDER[kind], 1).eval().requires_grad_(False)
    assert overlap.top_k_iou(full["sum_abs"], probe(other)["sum_abs"], k).mean() < 0.3, "any network agrees"


@pytest.mark.skipif(GPU == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_a_card_measures_what_the_host_measures(kind):
    """The whole pass in float32, groups and routing too: sums to rounding, counts but for close ties."""
    model = loading.create(networks.CONFIGS[kind], 0).eval().requires_grad_(False)
    blocks, random = ffn.feed_forwards(model), np.random.default_rng(0)
    ids = [random.integers(0, 320, int(n)) for n in random.integers(5, 60, 24)]
    keeps, got = [np.arange(len(tokens)) > 2 for tokens in ids], []
    options = {"top_k": (0.1, 3), "thresholds": (0.01, 0.1), "groups": 6, "batch_tokens": 256}
    for device in ("cpu", GPU):
        got.append(activation_pass.measure(model.to(device), blocks, ids, keeps, {}, options))
    for name, values in got[0].items():
        counts = np.issubdtype(np.asarray(values).dtype, np.integer)
        np.testing.assert_allclose(got[1][name], values, rtol=1e-4, atol=2 if counts else 1e-4, err_msg=name)
    assert np.array_equal(got[1]["tokens"], got[0]["tokens"]) and got[0]["sum_abs"].sum() > 0


@pytest.mark.parametrize("implementation", ["eager", "batched_mm"])
def test_experts_are_seen_whatever_computes_them(implementation):
    """h taken out of the grouped matrix product equals h computed again beside another implementation."""
    model = loading.create(networks.MIXTURE, 0).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    ids = [random.integers(0, 320, int(n)) for n in random.integers(5, 40, 12)]
    keeps = [random.random(len(tokens)) > 0.2 for tokens in ids]
    got = []
    for name in ("grouped_mm", implementation):
        model.set_experts_implementation(name)
        statistics = accumulators.ActivationStatistics(ffn.feed_forwards(model), top_k=(0.1, 3))
        activation_pass.run(model, ids, keeps, statistics, 128)
        got.append(statistics.arrays())
    for name, values in got[0].items():
        np.testing.assert_allclose(got[1][name], values, rtol=1e-4, atol=2, err_msg=name)
    np.testing.assert_allclose(got[1]["sum_abs"], got[0]["sum_abs"], rtol=1e-4, atol=1e-6)
    assert np.array_equal(got[1]["routed_tokens"], got[0]["routed_tokens"])
