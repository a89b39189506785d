"""Energies of an update that is never formed, of adapters and of whole models."""

import layouts
import networks
import numpy as np
import pytest
from networks import make_adapter, make_and_load

from implicit_sparsity.models import adapters, ffn, loading
from implicit_sparsity.passes import functional_change, stage_change, write_energy
from implicit_sparsity.updates import neuron_deltas


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
    layout, (_, network) = layout_of(kind), make_and_load(tmp_path, kind)
    first = make_adapter(network, tmp_path / "one", lambda name, a, b: None)
    second = make_adapter(network, tmp_path / "two", lambda name, a, b: b.mul_(0.3), rank=6)
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

    layout, (_, network) = layout_of(kind), make_and_load(tmp_path, kind)
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
    for at, energy in places.items():
        want[at] = energy
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


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_activation_mask_writes_on_its_chosen_neurons_alone(tmp_path, kind):
    """A's rows and columns, saved as LoRA: energy on the chosen neurons, exactly, and on no other."""
    import torch

    layout, (_, network) = layout_of(kind), make_and_load(tmp_path, kind)
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


def written(model, before) -> np.ndarray:
    """[L, N] of what a network's neurons have beyond another's, from the weights themselves."""
    blocks, old = ffn.feed_forwards(model), ffn.feed_forwards(before)
    energy = np.zeros((len(blocks), max(ffn.sizes(blocks))))
    for block, was in zip(blocks, old, strict=True):
        for (first, last, *now), (_, _, *then) in zip(block.parts(), was.parts(), strict=True):
            gate, up, down = ((a - b).detach().double().square() for a, b in zip(now, then, strict=True))
            energy[block.layer, first:last] = gate.sum(1) + up.sum(1) + down.sum(0)
    return energy


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_every_form_of_layer_is_read_from_files(name, tmp_path):
    """Neuron by neuron what the weights in memory differ by, of an adapter and of whole models, under the
    names that transformers stores them by; and all that changed is of the network, its inputs watched."""
    import torch

    base = layouts.make(name)
    blocks = ffn.feed_forwards(base)
    mixture = next((block for block in blocks if block.experts), ffn.FeedForward(0, None, 0))
    sizes, routed = ffn.sizes(blocks), [block.routed for block in blocks]
    of_layers = (tuple(sizes), tuple(routed)) if ffn.mixed(blocks) else ((), ())
    shape = len(sizes), max(sizes), 32, mixture.experts, mixture.width * bool(mixture.experts), mixture.shared
    layout = write_energy.Layout(*shape, *of_layers)
    loading.save(layouts.make(name), tmp_path / "base", "fp32")
    make_adapter(layouts.make(name), tmp_path / "lora", lambda _, a, b: b.mul_(0.3))
    merged = adapters.with_adapter(layouts.make(name), tmp_path / "lora")
    of_adapter = write_energy.Adapter(tmp_path / "lora", layout).energies().neurons
    np.testing.assert_allclose(of_adapter, written(merged, base), rtol=2e-3, atol=1e-6)
    with torch.no_grad():
        for block in blocks:
            for router in [block.router] if block.experts else []:
                router.weight.add_(1.0)
    routers = sum(block.router.weight.numel() for block in blocks if block.experts)
    loading.save(merged, tmp_path / "whole", "fp32")
    energies = write_energy.Whole(tmp_path / "whole", tmp_path / "base").energies(layout)
    np.testing.assert_allclose(energies.neurons, written(merged, base), rtol=2e-3, atol=1e-6)
    loading.save(base, tmp_path / "routers", "fp32")
    energies = write_energy.Whole(tmp_path / "routers", tmp_path / "base").energies(layout)
    assert not energies.neurons.any() and energies.elsewhere == pytest.approx(routers, rel=1e-5)
    for folder in ("lora", "whole", "routers"):
        changed = stage_change.changes(tmp_path / folder, None, tmp_path / "base")
        modules, fused = functional_change.watched(base, changed)
        assert {*modules, *fused} == set(changed)
    weights = dict(merged.named_parameters()), dict(layouts.make(name).named_parameters())
    for key, change in stage_change.changes(tmp_path / "whole", None, tmp_path / "base").items():
        full = next(n for n in weights[0] if n.removesuffix(".weight").endswith(f"model.{key}"))
        now, then = (part[full] for part in weights)
        x = torch.randn(5, now.shape[-1], generator=torch.Generator().manual_seed(0))
        delta = (now - then).reshape(-1, *now.shape[-2:])
        assert change.energy() == pytest.approx(float(delta.double().square().sum()), rel=2e-3)
        torch.testing.assert_close(change.matrix().float(), delta, rtol=1e-3, atol=1e-5)
        last = len(delta) - 1
        torch.testing.assert_close(change.apply(x, last).float(), x @ delta[last].T, rtol=1e-3, atol=1e-4)
