"""Where a stage wrote: planted updates are found neuron by neuron, in dense layers and in experts."""

import json

import networks
import numpy as np
import pytest
from planted import DOMAINS, metadata, write_scores
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.neuron_sets import members, renamed
from implicit_sparsity.models import adapters, loading
from implicit_sparsity.passes import write_energy
from implicit_sparsity.storage.store import write_store
from implicit_sparsity.storage.tables import read_table
from implicit_sparsity.storage.tensors import Tensors
from implicit_sparsity.updates import neuron_deltas

LAYERS, NEURONS, HIDDEN = 2, 64, 32


def study(folder, stage, form="adapter", previous=True):
    """The record of a stage, as far as the probe reads it."""
    seen = DOMAINS[:stage]
    reported = {
        "domain": seen[-1],
        "trained_domains": seen,
        "form": form,
        "previous_sha256": "x" if previous else None,
    }
    (folder / "stage.json").write_text(json.dumps({"study": reported}))
    return str(folder)


def make(tmp_path, kind="llama"):
    """(model folder, the network in float64-free LoRA form, names of its factors)."""
    folder = networks.make_model(tmp_path / "models" / "nano", kind)
    return folder, loading.load(folder, device="cpu")


def adapter(network, folder, fill, rank=4):
    """A LoRA folder whose factors ``fill(name, a, b)`` writes: a [X, r, i], b [X, o, r]."""
    import torch

    from implicit_sparsity.models import lowrank

    wrapped = adapters.add_lora(network, rank, 2 * rank, init_lora_weights=False)
    with torch.no_grad():
        for name, factor in lowrank.factors(wrapped).items():
            fill(name, *factor.views)
    wrapped.save_pretrained(str(folder))
    deltas = {}
    for name, factor in lowrank.factors(wrapped).items():
        a, b = (x.detach().double() for x in factor.views)
        deltas[name] = 2.0 * (b @ a)
    wrapped.unload()
    return deltas


def layout_of(kind):
    shape = networks.CONFIGS[kind]
    experts, width = shape.get("num_experts", 0), shape.get("moe_intermediate_size", 0)
    shared = shape.get("shared_expert_intermediate_size", 0)
    size = experts * width + shared if experts else shape["intermediate_size"]
    return write_energy.Layout(shape["num_hidden_layers"], size, shape["hidden_size"], experts, width, shared)


def expected(deltas, layout):
    """Energy of neurons and of the rest from the full updates, one neuron after the other."""
    energy, elsewhere = np.zeros((layout.layers, layout.neurons)), 0.0
    for name, delta in deltas.items():
        delta = delta.numpy()
        if "_proj" not in name or ".mlp." not in name:
            elsewhere += (delta**2).sum()
            continue
        layer, shared = int(name.split("layers.")[1].split(".")[0]), "shared_expert" in name
        for expert, matrix in enumerate(delta):
            first = layout.neurons - layout.shared if shared else expert * layout.width
            each = (matrix**2).sum(axis=0 if name.endswith("down_proj") else 1)
            if name.endswith("gate_up_proj"):
                each = each.reshape(2, -1).sum(axis=0)
            energy[layer, first : first + len(each)] += each
    return energy, elsewhere


@pytest.mark.parametrize("kind", ["llama", "dense", "mixture"])
def test_energies_are_those_of_the_update_that_is_never_formed(tmp_path, kind):
    layout, (_, network) = layout_of(kind), make(tmp_path, kind)
    first = adapter(network, tmp_path / "one", lambda name, a, b: None)
    second = adapter(network, tmp_path / "two", lambda name, a, b: b.mul_(0.3), rank=6)
    energies = write_energy.Adapter(tmp_path / "one", layout).energies()
    energy, elsewhere = expected(first, layout)
    np.testing.assert_allclose(energies.neurons, energy, rtol=1e-9)
    assert energies.elsewhere == pytest.approx(elsewhere, rel=1e-9) and energies.rank == 4
    step = write_energy.Adapter(tmp_path / "two", layout, tmp_path / "one").energies()
    energy, elsewhere = expected({name: second[name] - first[name] for name in first}, layout)
    np.testing.assert_allclose(step.neurons, energy, rtol=1e-9)
    assert step.elsewhere == pytest.approx(elsewhere, rel=1e-9)
    same = write_energy.Adapter(tmp_path / "one", layout, tmp_path / "one").energies()
    assert same.neurons.max() < 1e-12 * energies.neurons.max()


@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_whole_models_are_subtracted_weight_by_weight(tmp_path, kind, precision):
    import torch

    layout, (_, network) = layout_of(kind), make(tmp_path, kind)
    before = tmp_path / "before"
    loading.save(network, before, precision)
    with torch.no_grad():
        network.model.norm.weight += 2.0
        mlp = network.model.layers[1].mlp
        if kind == "dense":
            mlp.gate_proj.weight[5] += 1.0
            mlp.down_proj.weight[:, 7] += 1.0
            places = {(1, 5): 32, (1, 7): 32}
        else:
            mlp.experts.gate_up_proj[3, 16 + 2] += 1.0  # the up row of unit 2 of expert 3
            mlp.shared_expert.down_proj.weight[:, 4] += 1.0
            places = {(1, 3 * 16 + 2): 32, (1, 8 * 16 + 4): 32}
    loading.save(network, tmp_path / "after", precision)
    energies = write_energy.Whole(tmp_path / "after", before).energies(layout)
    tolerance = 1e-5 if precision == "fp32" else 0.02
    want = np.zeros((layout.layers, layout.neurons))
    for at, value in places.items():
        want[at] = value
    np.testing.assert_allclose(energies.neurons, want, rtol=tolerance, atol=1e-9)
    assert energies.elsewhere == pytest.approx(4.0 * 32, rel=tolerance)


def test_a_fused_checkpoint_before_an_unfused_one(tmp_path):
    """A hub's checkpoint may hold experts fused that transformers writes one by one."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    fused, down = rng.normal(size=(2, 6, 4)).astype("f4"), rng.normal(size=(2, 4, 3)).astype("f4")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    prefix = "model.language_model.layers.0.mlp.experts."
    other = {
        "model.visual.layers.0.mlp.gate_proj.weight": fused[0],
        "mtp.layers.0.mlp.up_proj.weight": fused[1],
    }
    save_file(
        {f"{prefix}gate_up_proj": fused, f"{prefix}down_proj": down} | other, tmp_path / "a" / "m.safetensors"
    )
    parts = {}
    for e in range(2):
        stem = f"model.layers.0.mlp.experts.{e}."
        rows = {"gate": fused[e, :3], "up": fused[e, 3:] + (e == 1), "down": down[e]}
        parts |= {f"{stem}{kind}_proj.weight": np.ascontiguousarray(x) for kind, x in rows.items()}
    save_file(parts, tmp_path / "b" / "m.safetensors")
    energies = write_energy.Whole(tmp_path / "b", tmp_path / "a").energies(
        write_energy.Layout(1, 6, 4, 2, 3, 0)
    )
    np.testing.assert_allclose(energies.neurons, [[0, 0, 0, 4, 4, 4]], atol=1e-6)
    assert energies.elsewhere == 0


# Sets of 20 of 64: hubs 0..4, each domain 15 of its own but that the last two domains share theirs.
def planted_scores():
    scores = {}
    for i, domain in enumerate(DOMAINS):
        row = np.linspace(0.01, 0.02, NEURONS)
        own = range(5 + 15 * min(i, 2), 20 + 15 * min(i, 2))
        row[[*range(5), *own]] += 1
        scores[domain] = np.tile(row, (LAYERS, 1))
    return scores


def stores(folder, scores, **more):
    paths = []
    for domain, score in scores.items():
        paths.append(str(write_scores(folder / f"{domain}.zarr", score, domain, **more)))
    return paths


def table(tmp_path, adapters, references=None, **options):
    references = references or stores(tmp_path / "stores", planted_scores())
    given = {
        "activations_base": references,
        "adapters": adapters,
        "models": [str(tmp_path / "models" / "nano")],
    }
    probe_table(str(tmp_path / "t.csv"), probe="write_interference", options={"k": [20]} | options, **given)
    return read_table(tmp_path / "t.csv")


def value(frame, quantity="signal", stage=1, write="total", **where):
    rows = frame[(frame["quantity"] == quantity) & (frame["write"] == write)]
    rows = rows[rows["checkpoint"] == f"m.o.seed0.stage{stage}"]
    for column, wanted in ({"layer": -1, "domain": ""} | where).items():
        rows = rows[rows[column] == wanted]
    (result,) = rows["value"]
    return result


def test_planted_writes_are_found_in_their_sets(tmp_path):
    """Stage 1 writes on hubs alone, stage 2 adds three times that energy on neurons that nobody uses."""
    _, network = make(tmp_path)
    place = tmp_path / "adapters" / "nano"

    def fill(rows):
        def write(name, a, b):
            a.zero_(), b.zero_()
            if name.endswith("gate_proj"):
                for rank, (row, size) in enumerate(rows.items()):
                    a[0, rank, rank], b[0, row, rank] = 1.0, size

        return write

    adapter(network, place / "m.o.seed0.stage1", fill({2: 1.0}))
    adapter(network, place / "m.o.seed0.stage2", fill({2: 1.0, 60: 3**0.5}))
    runs = [study(place / f"m.o.seed0.stage{n}", n, previous=n > 1) for n in (1, 2)]
    frame = table(tmp_path, runs)
    assert value(frame, set="hubs") == pytest.approx(1) == value(frame, set="hubs", layer=0)
    assert value(frame, set="idle") == 0
    for domain in DOMAINS:
        assert value(frame, set="top", domain=domain) == pytest.approx(1), "hubs are in every top"
    assert value(frame, set="hubs", stage=2) == pytest.approx(0.25)
    assert value(frame, set="idle", stage=2) == pytest.approx(0.75)
    assert value(frame, set="idle", stage=2, write="increment") == pytest.approx(1)
    assert value(frame, set="hubs", stage=2, write="increment") == pytest.approx(0, abs=1e-12)
    assert value(frame, "floor", set="hubs") == 5 / 64 and value(frame, "floor", set="idle") == 14 / 64
    assert value(frame, "ratio", set="hubs") == pytest.approx(64 / 5)
    outside = frame[(frame["set"] == "elsewhere") & (frame["quantity"] == "signal")]
    assert (outside["value"] == 0).all() and len(outside) == 4
    roles = frame[frame["set"] == "top"].groupby(["checkpoint", "domain"])["role"].first()
    assert roles["m.o.seed0.stage2"].to_dict() == {
        "code": "old", "math": "new", "medical": "later", "general": "later",
    }  # fmt: skip


def test_a_random_update_lies_in_its_own_range(tmp_path):
    """Shares of a random LoRA are the parameters' share: inside ``random`` in 95 % of layers and sets."""
    _, network = make(tmp_path)
    place, inside = tmp_path / "adapters" / "nano", []
    references = stores(tmp_path / "stores", planted_scores())
    for seed in range(12):
        import torch

        torch.manual_seed(seed)
        folder = place / "m.o.seed0.stage1"
        adapter(network, folder, lambda name, a, b: (a.normal_(), b.normal_()))
        frame = table(tmp_path, [study(folder, 1, previous=False)], references)
        wide = frame[frame["write"] == "total"].pivot_table(
            index=["layer", "set", "domain"],
            columns="quantity",
            values=["value", "low", "high"],
            dropna=False,
        )
        wide = wide[wide[("value", "random")].notna()]
        for null in ("random", "permuted"):
            signal = wide[("value", "signal")]
            inside += ((wide[("low", null)] <= signal) & (signal <= wide[("high", null)])).tolist()
    assert len(inside) == 12 * 2 * 6 * 3 and np.mean(inside) > 0.88
    assert wide[("value", "signal")].sub(wide[("value", "floor")]).abs().max() < 0.2


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_activation_mask_writes_on_its_chosen_neurons_alone(tmp_path, kind):
    """A's rows and columns, saved as LoRA: energy on the chosen neurons, exactly, and on no other."""
    import torch

    layout, (_, network) = layout_of(kind), make(tmp_path, kind)
    torch.manual_seed(0)
    index = torch.randperm(layout.neurons)[:9].sort().values
    layers = [(index, *(torch.randn(s) for s in ((9, 32), (9, 32), (32, 9))))] * layout.layers
    neuron_deltas.Deltas(layers).save_as_lora(network, tmp_path / "a")
    energies = write_energy.Adapter(tmp_path / "a", layout).energies()
    _, gate, up, down = layers[0]
    each = gate.square().sum(1) + up.square().sum(1) + down.square().sum(0)
    want = np.zeros((layout.layers, layout.neurons))
    want[:, index] = each.double().numpy()
    np.testing.assert_allclose(energies.neurons, want, rtol=1e-5)
    assert (energies.neurons[:, np.setdiff1d(np.arange(layout.neurons), index)] == 0).all()
    assert energies.elsewhere == 0


def grouped_store(path, rng, domain, mean, groups, noise):
    """A store whose groups scatter about ``mean`` [neuron]: gamma noise, one document a group."""
    draws = rng.gamma(1 / noise, noise, size=(2, groups, 1, len(mean))) * mean
    dims = ("half", "group", "layer", "neuron")
    arrays = {
        "tokens": (("half",), np.full(2, groups), metadata()),
        "documents": (("half",), np.full(2, groups), metadata()),
        "sum_abs": (("half", "layer", "neuron"), draws.sum(axis=1), metadata()),
        "group_sum_abs": (dims, draws.astype("f4"), metadata()),
        "group_tokens": (("half", "group"), np.ones((2, groups), int), metadata()),
    }
    coords = {"half": np.array(["a", "b"]), "layer": np.arange(1), "group": np.arange(groups)}
    attrs = {"model": "nano", "checkpoint": "base", "domain": domain, "revision": "r", "model_sha256": "s"}
    return write_store(path, arrays, coords, attrs)


def test_intervals_cover_the_share_at_this_budget():
    """Truth: the mean share over many draws of documents; over six updates 95 % cover it in 92 to 98 %."""
    from implicit_sparsity.metrics import neuron_sets, separation

    rng = np.random.default_rng(0)
    n, groups, k = 300, 24, 40
    shared = 0.9 * rng.normal(size=n)
    means = {domain: np.exp(shared + 0.5 * rng.normal(size=n)) for domain in ("one", "two", "three")}
    has = np.column_stack([np.ones(n), rng.gamma(0.5, size=(n, 6))])
    result = {key: [] for key in members(means, k)}
    for _ in range(300):
        halves = {}
        for domain, mean in means.items():
            sums = rng.gamma(0.7, 1 / 0.7, size=(groups, n)) * mean
            halves[domain] = separation.Half(sums.mean(axis=0), sums, np.ones((groups, 1)))
        sums = neuron_sets.sums(halves, k, has, draws=48)
        for key in result:
            result[key].append(sums.interval(lambda inside, total: inside[..., 1:] / total[1:], key))
    covered = []
    for intervals in result.values():
        value, low, high = np.array(intervals).transpose(1, 0, 2)
        truth = value.mean(axis=0)
        covered.append(np.mean((low <= truth) & (truth <= high)))
    assert 0.92 <= np.mean(covered) <= 0.98, covered
    assert min(covered) > 0.9 and max(covered) < 0.98, covered


def test_intervals_say_what_they_are_over(tmp_path):
    _, network = make(tmp_path)
    folder = tmp_path / "adapters" / "nano" / "m.o.seed0.stage1"
    adapter(network, folder, lambda name, a, b: None)
    run = [study(folder, 1, previous=False)]
    frame = table(tmp_path, run)
    signal = frame[(frame["quantity"] == "signal") & (frame["set"] == "hubs") & (frame["write"] == "total")]
    assert signal.set_index("layer")["interval"].to_dict() == {0: "", 1: "", -1: "layers"}
    rng, scores = np.random.default_rng(0), planted_scores()
    paths = [
        str(grouped_store(tmp_path / f"g{d}", rng, d, np.concatenate([s[0]]), 8, 0.5))
        for d, s in scores.items()
    ]
    network_layers = json.loads((tmp_path / "models/nano/config.json").read_text())["num_hidden_layers"]
    assert network_layers == LAYERS
    with pytest.raises(InputError, match="another model"):
        table(tmp_path, run, paths)  # stores of one layer, a stage of two


def test_nothing_written_nothing_measured_and_what_cannot_be_read(tmp_path):
    _, network = make(tmp_path)
    folder = tmp_path / "adapters" / "nano" / "m.o.seed0.stage1"
    adapter(network, folder, lambda name, a, b: b.zero_())
    frame = table(tmp_path, [study(folder, 1, previous=False)])
    assert frame.loc[frame["quantity"] == "signal", "value"].isna().all()
    assert table_is_empty(tmp_path)
    data = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(data[:-10])
    with pytest.raises(InputError, match="truncated"):
        table(tmp_path, [str(folder)])
    config = json.loads((folder / "adapter_config.json").read_text()) | {"peft_type": "LOKR"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="LOKR"):
        table(tmp_path, [str(folder)])


def table_is_empty(tmp_path):
    """Without a stage there is a header alone."""
    references = stores(tmp_path / "stores", planted_scores())
    given = {"activations_base": references, "models": [str(tmp_path / "models" / "nano")]}
    probe_table(str(tmp_path / "none.csv"), probe="write_interference", options={"k": [20]}, **given)
    return len((tmp_path / "none.csv").read_text().splitlines()) == 1


def test_renaming_is_exact():
    rng = np.random.default_rng(0)
    energy, k = rng.gamma(0.5, size=30), 7
    drawn = np.array([energy[rng.permutation(30)[:k]].sum() for _ in range(20000)])
    mean, variance = renamed(k, energy)
    assert drawn.mean() == pytest.approx(mean, rel=0.02) and drawn.var() == pytest.approx(variance, rel=0.05)


def test_bfloat16_is_read_without_torch(tmp_path):
    import torch
    from safetensors.torch import save_file

    x = torch.randn(7, 5)
    save_file({"x": x.bfloat16(), "y": x, "z": x.half()}, tmp_path / "t.safetensors")
    tensors = Tensors(tmp_path / "t.safetensors")
    np.testing.assert_array_equal(tensors["x"], x.bfloat16().float().numpy())
    np.testing.assert_array_equal(tensors["y"], x.numpy())
    np.testing.assert_array_equal(tensors["z"], x.half().float().numpy())
    save_file({"x": x / 0}, tmp_path / "t.safetensors")
    with pytest.raises(InputError, match="x is not finite"):
        Tensors(tmp_path / "t.safetensors")["x"]
