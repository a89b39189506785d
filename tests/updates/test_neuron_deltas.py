"""Rows and columns of chosen neurons: sets of them by hand, and as a LoRA against changed weights."""

import layouts
import networks
import pytest
import torch
from layouts import LAYOUTS

from implicit_sparsity.models import adapters, ffn, forward, loading
from implicit_sparsity.storage import files
from implicit_sparsity.updates.neuron_deltas import Deltas, attach

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
KINDS = ("llama", "dense", "mixture")


def layer(*neurons, scale=1.0, hidden=2):
    """Neuron n writes scale * n in its gate row, 10 times that in up, 100 times that in down."""
    index = torch.tensor(neurons, dtype=torch.int64)
    rows = scale * index[:, None].float().expand(-1, hidden)
    return index, rows.clone(), 10 * rows, 100 * rows.T


def values(deltas):
    return [[tensor.tolist() for tensor in tensors] for tensors in deltas.layers]


def test_deltas_survive_as_state():
    deltas = Deltas([layer(1, 4), layer(), layer(0)])
    state = deltas.to_state()
    assert list(state)[:4] == [f"layers.0.{part}" for part in ("index", "gate", "up", "down")]
    assert values(Deltas.from_state(state | {"other": torch.ones(1)})) == values(deltas)
    assert Deltas.from_state({"other": torch.ones(1)}).layers == []
    deltas.layers[0][1].fill_(9)
    assert state["layers.0.gate"].tolist() == [[1, 1], [4, 4]], "a copy"


def test_without_some_neurons_the_others_stay():
    deltas = Deltas([layer(1, 4, 7), layer(2)])
    chosen = {0: torch.tensor([0, 4]), 1: torch.tensor([2])}
    assert values(deltas.without(chosen)) == values(Deltas([layer(1, 7), layer()]))


def test_joined_deltas_add_up_where_a_neuron_is_in_both():
    ours, theirs = Deltas([layer(1, 4), layer()]), Deltas([layer(0, 4, 9, scale=2), layer(3)])
    index, gate, up, down = ours.joined_with(theirs).layers[0]
    assert index.tolist() == [0, 1, 4, 9] and gate[:, 0].tolist() == [0, 1, 4 + 8, 18]
    assert torch.equal(up, 10 * gate) and torch.equal(down, 100 * gate.T)
    assert values(Deltas(ours.joined_with(theirs).layers[1:])) == values(Deltas([layer(3)]))
    assert values(Deltas([]).joined_with(theirs)) == values(theirs)


def test_norms_of_changes_tell_guarded_neurons_from_others():
    """Neuron 4 moves by 3 in a row and by 4 in its column, neuron 1, which is guarded, by 12 in all."""
    layers = [layer(1, 4), layer(0)]
    before = {
        f"neuron_deltas.{number}_{part}": tensor.clone()
        for number, tensors in enumerate(layers)
        for part, tensor in zip(("gate", "up", "down"), tensors[1:], strict=True)
    }
    guarded = {0: torch.tensor([0, 1])}
    assert Deltas(layers).change_norms(before, guarded) == (0, 0)
    layers[0][1][1, 0] += 3
    layers[0][3][0, 1] -= 4
    assert Deltas(layers).change_norms(before, guarded) == (0, 5)
    layers[0][2][0, 1] += 12
    layers[1][3][1, 0] += 84
    assert Deltas(layers).change_norms(before, guarded) == (12, 85)  # 5, 12, 13; 13, 84, 85
    assert Deltas(layers).change_norms(before, {}) == (0, 85)


def some(model, draw):
    """A third of the neurons of each layer, and random numbers for them."""
    layers = []
    for block in ffn.feed_forwards(model):
        index = torch.randperm(block.size, generator=draw)[: block.size // 3].sort().values
        k = len(index)
        layers.append((index, *(0.1 * torch.randn(s, generator=draw) for s in ((k, 32), (k, 32), (32, k)))))
    return Deltas(layers)


def test_attached_deltas_are_trained_and_start_from_what_is_known(nano):
    """Neurons 0 and 5 are new, 3 and 4 are known, 1 and 2 are known and not chosen."""
    model = loading.load(nano("llama")[0])
    known, chosen = layer(1, 2, 3, 4, hidden=32), torch.tensor([0, 3, 4, 5])
    deltas = attach(model, {1: chosen, 0: chosen}, Deltas([known, known]))
    for index, gate, up, down in deltas.layers:
        assert torch.equal(index, chosen) and gate[:, 7].tolist() == [0, 3, 4, 0]
        assert torch.equal(up, 10 * gate) and torch.equal(down, 100 * gate.T)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(trained) == {f"neuron_deltas.{n}_{part}" for n in (0, 1) for part in ("gate", "up", "down")}
    assert trained["neuron_deltas.1_down"] is deltas.layers[1][3]
    fresh = attach(model, {0: chosen, 1: chosen[:0]}, Deltas([]))
    assert not any(part.any() for part in fresh.layers[0][1:]) and fresh.layers[1][3].shape == (32, 0)


@pytest.mark.parametrize("kind", [*KINDS, *LAYOUTS])
def test_a_lora_of_them_computes_what_they_do(nano, float64, kind, tmp_path):
    """PEFT's layers give the logits of the hooks. Rounding as in models/hooks/test_changing.py."""

    def load():
        return layouts.make(kind) if kind in LAYOUTS else loading.load(nano(kind)[0])

    model = load()
    deltas = some(model, torch.Generator().manual_seed(1)).beside(model)
    with torch.no_grad():
        plain = model(input_ids=IDS).logits
        with deltas.applied(model):
            wanted = model(input_ids=IDS).logits
        with Deltas([]).applied(model):
            assert torch.equal(model(input_ids=IDS).logits, plain), "none at the first stage"
    deltas.save_as_lora(model, tmp_path)
    beside = adapters.add_adapter(load(), tmp_path)
    with torch.no_grad():
        got = forward.base_network(beside)(input_ids=IDS).logits
    assert not torch.allclose(plain, wanted, atol=1e-2)
    torch.testing.assert_close(got, wanted, atol=1e-8, rtol=0)


def test_the_rank_is_what_the_fullest_expert_takes(tmp_path):
    """A routed expert has gate and up in one tensor: two ranks for each of the three neurons of expert 2."""
    empty = layer(hidden=32)
    shared = range(8 * 16, 8 * 16 + 5)
    chosen = {"routed": (2 * 16, 2 * 16 + 1, 2 * 16 + 15, *shared), "shared": shared, "none": ()}
    ranks = {}
    for name, neurons in chosen.items():
        deltas = Deltas([layer(*neurons, hidden=32), empty, empty, empty])
        deltas.save_as_lora(networks.network("mixture"), tmp_path / name)
        config = files.read_json(tmp_path / name / "adapter_config.json")
        ranks[name] = (config["r"], config["lora_alpha"])
    assert ranks == {"routed": (6, 6), "shared": (5, 5), "none": (1, 1)}
