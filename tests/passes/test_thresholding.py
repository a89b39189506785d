"""Activations set to zero: networks whose idle neurons and whose domains' own neurons are planted."""

import math

import networks
import numpy as np
import pytest
import torch
from measure import measure as run_measurement
from planted import BARE
from torch.nn.functional import linear

from implicit_sparsity.corpora.tokens import Document
from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import sparsity
from implicit_sparsity.models import ffn, forward, loading
from implicit_sparsity.models.hooks.changing import sparsified
from implicit_sparsity.models.hooks.watching import ffn_activations
from implicit_sparsity.models.losses import completion_nats
from implicit_sparsity.passes import activation_pass, calibration, thresholding
from implicit_sparsity.storage import store

KINDS = ("llama", "dense", "mixture")
PASS = {"tokens": 300, "skip_first": 1, "top_k": [0.1], "thresholds": [0.1], "batch_tokens": 512, "groups": 4}
OPTIONS = {"levels": [0.25, 0.5, 0.9], "cross": [0.5], "random_masks": 1, "per": "layer", "batch_tokens": 256}
OPTIONS |= {"cross_thresholds": True, "numerical_floor": "none"}


# Hooks


@pytest.mark.parametrize("kind", KINDS)
def test_zeroed_neurons_are_those_of_zeroed_weights(nano, kind):
    """Neurons out of a mask: the logits of a network without their columns. Nothing stays behind."""
    model, ids = loading.load(nano(kind)[0]), torch.arange(3, 39).view(3, 12)
    plain, blocks = networks.logits(model, ids), ffn.feed_forwards(model)
    retained = np.random.default_rng(0).random((len(blocks), blocks[0].size)) < 0.4
    change = thresholding.Zeroing(len(blocks), "cpu", retained=retained)
    change.begin_batch(torch.ones(ids.numel(), dtype=torch.bool))
    with sparsified(model, change):
        masked = networks.logits(model, ids)
    assert torch.equal(networks.logits(model, ids), plain)
    for block in blocks:
        for first, last, _, _, down in block.parts():
            down[:, torch.from_numpy(~retained[block.layer, first:last])] = 0
    without = networks.logits(model, ids)
    assert not torch.allclose(plain, without, atol=1e-2)
    torch.testing.assert_close(masked, without, atol=1e-4, rtol=1e-4)
    rows = ids.numel() * (2 * 16 + 24 if kind == "mixture" else 64)
    assert change.seen.tolist() == [rows] * len(blocks)
    if kind != "mixture":
        np.testing.assert_allclose(change.shares(), 1 - retained.mean(axis=1))


@pytest.mark.parametrize("implementation", ["grouped_mm", "eager", "batched_mm"])
def test_thresholds_of_each_expert_whatever_runs_the_experts(nano, implementation):
    """Against |h| of one layer computed by hand from the weights, expert by expert."""
    model = loading.load(nano("mixture")[0])
    model.set_experts_implementation(implementation)
    ids, block = torch.arange(3, 39).view(3, 12), ffn.feed_forwards(model)[0]
    limits = torch.linspace(0.0, 0.02, block.experts + 1).tile(4, 1)
    seen, routed = [], []
    stay = block.mlp.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, 1)))
    choose = block.mlp.gate.register_forward_hook(lambda _, args, out: routed.append(out[2]))
    change = thresholding.Zeroing(4, "cpu", thresholds=limits)
    change.begin_batch(torch.arange(36) % 12 != 0)
    with sparsified(model, change):
        networks.logits(model, ids)
    assert model.config._experts_implementation == implementation
    stay.remove(), choose.remove()
    below = total = 0
    for number, (_, _, gate, up, _) in enumerate(block.parts()):
        shared = number == block.experts
        h = torch.nn.functional.silu(linear(seen[0], gate)) * linear(seen[0], up)
        mine = torch.arange(36) % 12 != 0
        if not shared:
            mine &= (routed[0] == number).any(-1)
        below += int((h[mine].abs() < limits[0, number]).sum())
        total += h[mine].numel()
    assert 0.05 < below / total < 0.95
    assert (int(change.zeros[0]), int(change.seen[0])) == (below, total)


# Planted networks: no attention, so that what a token does is known


def planted(nano, kind, scale=8.0):
    """A network that reads words through its feed-forward layers alone, and is sure of what it says.

    Direction 0 of the embedding tells words of domain A (ids below 160, +) from those of B (-).
    """
    model, draw = loading.load(nano(kind)[0]), torch.Generator().manual_seed(0)
    network = forward.base_network(model).model

    def normal(weight, size):
        weight.copy_(size * torch.randn(weight.shape, generator=draw))

    with torch.no_grad():
        normal(network.embed_tokens.weight, 0.3)
        network.embed_tokens.weight[:, 0] = torch.where(torch.arange(320) < 160, 2.0, -2.0)
        network.norm.weight.fill_(scale)
        for layer in network.layers:
            mixer = layer.self_attn.o_proj if hasattr(layer, "self_attn") else layer.linear_attn.out_proj
            mixer.weight.zero_()
        for block in ffn.feed_forwards(model):
            for _, _, gate, up, down in block.parts():
                normal(gate, 0.5), normal(up, 0.5), normal(down, 0.15)
                gate[:, 0], up[:, 0], down[0] = 0, 0, 0
            if block.experts:
                block.mlp.gate.weight[:, 0] = 0
    return model


def make_idle(model):
    """Every second neuron of each part: small, and read by nobody."""
    with torch.no_grad():
        for block in ffn.feed_forwards(model):
            for _, _, _, up, down in block.parts():
                up[::2] *= 1e-5
                down[:, ::2] = 0


def make_own(model, shared=0.0):
    """The first half of each part's neurons is at work on words of A, the others on words of B; the last
    ``shared`` of each half on both."""
    with torch.no_grad():
        for block in ffn.feed_forwards(model):
            for _, _, gate, _, _ in block.parts():
                half = len(gate) // 2
                gate.zero_()
                gate[:half, 0], gate[half:, 0] = 8.0, -8.0
                both = round(shared * half)
                if both:
                    generator = torch.Generator().manual_seed(1)
                    for last in (half, len(gate)):
                        some = gate[last - both : last]
                        some.copy_(torch.randn(some.shape, generator=generator))
                        some[:, 0] = 0


def documents(model, domain, count, seed, length=16):
    """Documents in the network's own words: after four words drawn, always the likeliest of the domain."""
    draw = torch.Generator().manual_seed(seed)
    first = 0 if domain == "a" else 160
    ids = torch.randint(first + 3, first + 160, (count, 4), generator=draw)
    for _ in range(length - 4):
        logits = networks.logits(model, ids)[:, -1, first : first + 160]
        # of the three likeliest, so that documents do not all run into one circle
        pick = torch.randint(0, 3, (count, 1), generator=draw)
        ids = torch.cat([ids, first + logits.topk(3).indices.gather(1, pick)], 1)
    prompt = np.arange(length) < 4
    return [Document(row.numpy(), prompt, {"group": i, "source": "s"}) for i, row in enumerate(ids)]


def calibrated(model, documents):
    """The calibration of documents as a job makes it, but for the file."""
    blocks = ffn.feed_forwards(model)
    ids = [document.ids for document in documents]
    keeps = [np.ones(len(one), dtype=bool) for one in ids]
    taken = activation_pass.Taken(ids, keeps, {"first": 0, "special": 0}, documents)
    half = activation_pass.measure(model, blocks, taken, PASS)
    import xarray

    arrays, coords = activation_pass.as_store([half, half], blocks, PASS)
    coords = {
        name: values[:2] if isinstance(values, tuple) else (store.COORDINATES[name][0], values)
        for name, values in coords.items()
    }
    dataset = xarray.Dataset(
        {name: entry[:2] for name, entry in arrays.items()}, coords, {"model_sha256": "x"}
    )
    return calibration.calibrate(dataset, "x", blocks)


def measured(model, tested, made, domain="a", **options):
    """{name of a condition: (ratio of content losses to dense [D], share of zeros, content losses)}"""
    result = thresholding.measure(model, tested, domain, made, OPTIONS | options, BARE)
    dense = result["curve", 0, ""][0][0]
    return {name: (nats[0] / dense, zeros.mean(), nats[0]) for name, (nats, zeros) in result.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_idle_neurons_are_found_and_cost_nothing(nano, kind):
    model = planted(nano, kind)
    make_idle(model)
    made = {"a": calibrated(model, documents(model, "a", 24, 0))}
    result = measured(model, documents(model, "a", 8, 1), made, levels=[0.25, 0.45, 0.7, 0.9])
    for i, level in enumerate([0, 0.25, 0.45]):
        assert result["curve", i, ""][1] == pytest.approx(level, abs=0.03)
        np.testing.assert_allclose(result["curve", i, ""][0], 1, atol=1e-4)
    assert result["curve", 4, ""][0].mean() > 1.1, "the others matter"
    nats = np.stack([result["curve", i, ""][2] for i in range(5)])
    shares = [result["curve", i, ""][1] for i in range(5)]
    value, low, high = sparsity.critical_sparsity(shares, nats, range(8))
    assert 0.42 < low <= value <= high < 0.9
    # the mask leaves out exactly the idle half
    np.testing.assert_allclose(result["mask", 0, "a"][0], 1, atol=1e-4)
    assert result["random", 0, "0"][0].mean() > 1.1


def test_activations_that_are_zero_already_count(nano):
    """As with ReLU: where 60 % are exactly zero, thresholds for 25 and 50 % change nothing."""
    model = planted(nano, "llama")
    with torch.no_grad():
        for block in ffn.feed_forwards(model):
            for _, _, _, up, _ in block.parts():
                up[: round(0.6 * len(up))] = 0
    made = {"a": calibrated(model, documents(model, "a", 24, 0))}
    result = measured(model, documents(model, "a", 8, 1), made)
    for i in range(3):
        assert result["curve", i, ""][1] == pytest.approx(38 / 64)
        assert (result["curve", i, ""][0] == 1).all()
    nats = np.stack([result["curve", i, ""][2] for i in range(4)])
    shares = [result["curve", i, ""][1] for i in range(4)]
    assert sparsity.critical_sparsity(shares, nats, range(8))[0] >= 38 / 64


@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_another_domain_destroy_where_planted_sets_differ(nano, kind):
    ratios = {}
    for shared in (0.0, 1.0):
        model = planted(nano, kind)
        make_own(model, shared)
        made = {name: calibrated(model, documents(model, name, 32, 0)) for name in "ab"}
        for tested in "ab":
            result = measured(model, documents(model, tested, 8, 1), made, tested, levels=[0.5])
            for maker in "ab":
                ratios[shared, maker, tested] = result["mask", 0, maker][0].mean()
    for own in "ab":
        assert ratios[0.0, own, own] == pytest.approx(1, abs=0.01), ratios
    for maker, tested in ("ab", "ba"):
        assert ratios[0.0, maker, tested] > 1.2, ratios
        away = ratios[1.0, maker, tested] / ratios[1.0, tested, tested]
        assert away < 1 + 0.4 * (ratios[0.0, maker, tested] - 1), ratios


# The measurement


@pytest.fixture(scope="module")
def stores(nano, tmp_path_factory):
    """kind -> activation stores by domain."""
    made = {}

    def get(kind):
        if kind not in made:
            (model, tokens), folder = nano(kind), tmp_path_factory.mktemp(kind)
            made[kind] = {domain: str(folder / f"{domain}.zarr") for domain in tokens}
            for domain, path in made[kind].items():
                what = {}, "activations", [domain], "base", PASS | {"tokens": 80}, domain
                run_measurement(path, model, [tokens[domain]], *what)
        return made[kind]

    return get


def measure(nano, stores, kind, path, domain="code", given=None, **options):
    model, tokens = nano(kind)
    chosen = {"documents": 6, "levels": [0.5, 0.9]}
    what = {}, "thresholds", list(tokens), "base", OPTIONS | chosen | options, domain
    given = given or list(stores(kind).values())
    run_measurement(str(path), model, list(tokens.values()), *what, name=kind, activations=given)
    return store.open_store(path)


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_store_holds_every_condition_and_the_same_bytes_again(nano, stores, kind, tmp_path):
    first = measure(nano, stores, kind, tmp_path / "a.zarr")
    measure(nano, stores, kind, tmp_path / "b.zarr")
    files = sorted(path.relative_to(tmp_path / "a.zarr") for path in (tmp_path / "a.zarr").rglob("*.*"))
    assert files and all(
        (tmp_path / "a.zarr" / f).read_bytes() == (tmp_path / "b.zarr" / f).read_bytes() for f in files
    )
    assert dict(first.sizes) == {
        "level": 3, "document": 6, "cross": 1, "calibration": 3, "draw": 1, "part": 1, "tokens": 3,
        "layer": len(first["layer"]),
    }  # fmt: skip
    assert first.attrs["passes"] == 3 + 2 + 3 + 1 and first.attrs["calibrated_at"] == "base"
    own = first["calibration"].values.tolist().index("code")
    assert (first["threshold_loss"].values[0, own] == first["curve_loss"].values[1]).all()
    assert np.isfinite(first["mask_loss"].values).all()
    np.testing.assert_allclose(first["curve_zeros"].values.mean(-1), [0, 0.5, 0.9], atol=0.06)


def test_dense_losses_are_those_of_the_plain_network_on_the_other_half(nano, stores, tmp_path):
    from implicit_sparsity.corpora.tokens import Tokens
    from implicit_sparsity.models.batching import collate

    for kind in ("llama", "mixture"):
        result = measure(nano, stores, kind, tmp_path / f"{kind}.zarr")
        folder, tokens = nano(kind)
        model, split = loading.load(folder), Tokens(tokens["code"]).split("probe_b")
        chosen = [split[i] for i in range(6)]
        assert result["document_id"].values.tolist() == [document.meta["id"] for document in chosen]
        assert result["group"].values.tolist() == [document.meta["group"] for document in chosen]
        with torch.no_grad():
            alone = [completion_nats(model, collate([document]))[0].mean() for document in chosen]
        completion = result["curve_loss"].sel(tokens="completion").values
        np.testing.assert_allclose(completion[0], alone, rtol=1e-4)
        assert (result["token_count"].sel(tokens="content") < result["token_count"].sel(tokens="all")).all()


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_another_kernel_runs_the_same_network(nano, kind):
    """The curve once more: the same to rounding without thresholds, and the kernel is put back."""
    model = planted(nano, kind)
    usual, seen = model.config._attn_implementation, []
    made = {"a": calibrated(model, documents(model, "a", 24, 0))}
    model.model.layers[-1].register_forward_pre_hook(
        lambda *_: seen.append(model.config._attn_implementation)
    )
    tested = documents(model, "a", 4, 1)
    options = OPTIONS | {"numerical_floor": "eager", "cross_thresholds": False}
    result = thresholding.measure(model, tested, "a", made, options, BARE)
    assert set(seen) == {usual, "sdpa" if usual == "eager" else "eager"}
    assert model.config._attn_implementation == usual
    assert {name for name, *_ in result} == {"curve", "again", "mask", "random"}
    for i in range(4):
        np.testing.assert_allclose(result["again", i, ""][0], result["curve", i, ""][0], rtol=0.05)
    np.testing.assert_allclose(result["again", 0, ""][0], result["curve", 0, ""][0], rtol=1e-4)


def test_each_expert_can_have_its_own_threshold(nano, stores, tmp_path):
    """Then each expert, and not only the layer, has the share asked for: on what the stores were made of."""
    result = measure(nano, stores, "mixture", tmp_path / "a.zarr", per="expert")
    assert result["part"].values.tolist() == [*range(8), -1]
    limits = result["thresholds"].values[1]
    assert (limits > 0).all() and (limits.std(axis=1) > 0).all()
    from implicit_sparsity.corpora.tokens import Tokens

    folder, tokens = nano("mixture")
    model, shards = loading.load(folder), Tokens(tokens["code"])
    split, seen = shards.split("probe_a"), {}
    ids, keeps, *_ = activation_pass.take_tokens(list(split), 80, 1, shards.index["special_ids"])

    def observe(block, first, positions, h, weights):
        rows = torch.from_numpy(keep) if positions is None else torch.from_numpy(keep)[positions]
        seen.setdefault((block.layer, first // 16), []).append(h[rows].abs().flatten())

    with ffn_activations(model, observe), torch.no_grad():
        for one, keep in zip(ids, keeps):  # noqa: B007 (observe reads it)
            model(input_ids=torch.from_numpy(one.astype(np.int64))[None])
    for (layer, part), pieces in seen.items():
        h = torch.cat(pieces)
        assert float((h < limits[layer, part]).float().mean()) == pytest.approx(0.5, abs=0.06)


def test_what_cannot_be_measured_is_one_line(nano, stores, tmp_path):
    with pytest.raises(InputError, match=r"24 documents with two completion tokens .*, 30 are wanted"):
        measure(nano, stores, "llama", tmp_path / "a.zarr", documents=30)
    with pytest.raises(InputError, match="other weights"):
        measure(nano, stores, "llama", tmp_path / "a.zarr", given=list(stores("dense").values()))
    with pytest.raises(InputError, match="no store"):
        measure(nano, stores, "llama", tmp_path / "a.zarr", given=[stores("llama")["math"]])
    with pytest.raises(InputError, match="is missing"):
        measure(nano, stores, "llama", tmp_path / "a.zarr", given=[str(tmp_path)])
    assert not (tmp_path / "a.zarr").exists()
    broken = store.open_store(stores("llama")["code"])
    blocks, weights = ffn.feed_forwards(loading.load(nano("llama")[0])), broken.attrs["model_sha256"]
    with pytest.raises(InputError, match="not finite"):
        calibration.calibrate(broken.assign(sum_abs=broken["sum_abs"] * math.nan), weights, blocks)
    model = loading.load(nano("llama")[0])
    model.lm_head.weight.data[:] = math.nan
    made = {"code": calibration.calibrate(broken, weights, blocks)}
    with pytest.raises(InputError, match="not finite"):
        alone = [Document(np.arange(9), np.arange(9) < 3, {})]
        thresholding.measure(model, alone, "code", made, OPTIONS, BARE)


def test_a_layer_of_zeros_is_measured(nano):
    model = planted(nano, "llama")
    with torch.no_grad():
        for _, _, _, up, _ in ffn.feed_forwards(model)[0].parts():
            up.zero_()
    made = {"a": calibrated(model, documents(model, "a", 8, 0))}
    result = thresholding.measure(model, documents(model, "a", 4, 1), "a", made, OPTIONS, BARE)
    for _, zeros in result.values():
        assert zeros[0] == 1
    assert result["curve", 0, ""][1][1] == 0
