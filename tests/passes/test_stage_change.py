"""What a stage changed: factors and matrices of planted changes, weight by weight, and their lengths."""

import json

import networks
import pytest
import torch
from safetensors.torch import load_file, save_file

from implicit_sparsity.models import loading, lowrank
from implicit_sparsity.passes import stage_change, write_energy


def length(deltas) -> float:
    return float(sum((delta**2).sum() for delta in deltas.values()) ** 0.5)


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_of_an_adapter_the_changes_are_the_products_of_its_factors(tmp_path, kind):
    model, network = networks.make_and_load(tmp_path, kind)
    first = networks.make_adapter(network, tmp_path / "one", lambda name, a, b: None)
    second = networks.make_adapter(network, tmp_path / "two", lambda name, a, b: b.mul_(0.3), rank=6)
    step = {name: second[name] - first[name] for name in first}
    for before, deltas in ((None, second), (tmp_path / "one", step)):
        changes = stage_change.changes(tmp_path / "two", before, model)
        assert changes.keys() == {write_energy.plain(name) for name in deltas}
        for name, delta in deltas.items():
            change = changes[write_energy.plain(name)]
            torch.testing.assert_close(change.matrix(), delta, rtol=1e-5, atol=1e-6)
            assert change.energy() == pytest.approx(float((delta**2).sum()), rel=1e-5)
            expert = len(delta) - 1
            x = torch.randn(5, delta.shape[2])
            expected = x.double() @ delta[expert].T
            torch.testing.assert_close(change.apply(x, expert), expected, rtol=1e-5, atol=1e-5)
    norms = stage_change.norms(tmp_path / "two", tmp_path / "one", model)
    assert norms["update_norm"] == pytest.approx(length(step), rel=1e-5)
    assert norms["update_norm_since_base"] == pytest.approx(length(second), rel=1e-5)
    alone = stage_change.norms(tmp_path / "one", None, model)
    assert list(alone.values()) == pytest.approx([length(first)] * 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_of_a_stacked_adapter_the_change_has_its_own_rank(tmp_path, kind):
    """What it has from the adapter before cancels: exactly, and without the work."""
    model, network = networks.make_and_load(tmp_path, kind)
    first, folder = networks.make_adapter(network, tmp_path / "one", lambda *_: None), tmp_path / "both"
    own = networks.make_adapter(network, tmp_path / "own", lambda name, a, b: b.mul_(0.3), rank=2)
    old, new = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "own"))
    config = json.loads((tmp_path / "own" / "adapter_config.json").read_text())
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 6, "lora_alpha": 12}))
    experts = networks.CONFIGS[kind].get("num_experts", 1)
    save_file(lowrank.stack(old, new, experts), folder / "adapter_model.safetensors", {"format": "pt"})
    changes = stage_change.changes(folder, tmp_path / "one", model)
    whole = stage_change.changes(folder, None, model)
    for name, delta in own.items():
        change = changes[write_energy.plain(name)]
        assert change.right.shape[1] == 2
        torch.testing.assert_close(change.matrix(), delta, rtol=1e-5, atol=1e-7)
        both = whole[write_energy.plain(name)].matrix()
        torch.testing.assert_close(both, delta + first[name], rtol=1e-5, atol=1e-6)


def test_of_a_whole_model_the_weights_that_changed_and_no_others(tmp_path):
    """Ones in a row and a column of 32, then half of the row taken back: lengths are counted."""
    model, network = networks.make_and_load(tmp_path, "llama")
    mlp = network.model.layers[1].mlp
    with torch.no_grad():
        mlp.gate_proj.weight[5] += 1.0
        mlp.down_proj.weight[:, 7] += 1.0
        loading.save(network, tmp_path / "one", "fp32")
        mlp.gate_proj.weight[5, :16] -= 1.0
        loading.save(network, tmp_path / "two", "fp32")
    changes = stage_change.changes(tmp_path / "one", None, model)
    assert changes.keys() == {"layers.1.mlp.gate_proj", "layers.1.mlp.down_proj"}
    gate, down = changes["layers.1.mlp.gate_proj"], changes["layers.1.mlp.down_proj"]
    row, column = torch.zeros(1, 64, 32), torch.zeros(1, 32, 64)
    row[0, 5], column[0, :, 7] = 1, 1
    torch.testing.assert_close(gate.matrix(), row, atol=1e-6, rtol=0)
    torch.testing.assert_close(down.matrix(), column, atol=1e-6, rtol=0)
    assert gate.energy() == pytest.approx(32, rel=1e-5)
    x = torch.arange(64.0)[None]
    torch.testing.assert_close(down.apply(x), torch.full((1, 32), 7.0), atol=1e-4, rtol=0)
    again = stage_change.changes(tmp_path / "two", tmp_path / "one", model)
    assert again.keys() == {"layers.1.mlp.gate_proj"}
    norms = stage_change.norms(tmp_path / "two", tmp_path / "one", model)
    assert norms == pytest.approx({"update_norm": 16**0.5, "update_norm_since_base": 48**0.5}, rel=1e-5)


def test_experts_that_a_folder_has_one_by_one_are_one_fused_weight(tmp_path):
    """A change of one expert's up rows: of the fused weight, at that expert, below its gate."""
    model, network = networks.make_and_load(tmp_path, "mixture")
    with torch.no_grad():
        network.model.layers[2].mlp.experts.gate_up_proj[3, 16 + 2] += 1.0
    loading.save(network, tmp_path / "after", "fp32")
    changes = stage_change.changes(tmp_path / "after", None, model)
    expected = torch.zeros(8, 32, 32)
    expected[3, 16 + 2] = 1
    fused = changes["layers.2.mlp.experts.gate_up_proj"]
    torch.testing.assert_close(fused.matrix(), expected, atol=1e-6, rtol=0)
    assert all("layers.2.mlp.experts" in name for name in changes), "no other block changed"
    rest = [change.energy() for name, change in changes.items() if "gate_up" not in name]
    assert sum(rest) == 0 and fused.energy() == pytest.approx(32, rel=1e-5)
    x = torch.ones(1, 32)
    assert fused.apply(x, 3)[0, 18] == pytest.approx(32, rel=1e-5)
    assert fused.apply(x, 2).abs().max() == 0


def test_of_a_matrix_that_grew_what_was_there_before_is_told_apart(tmp_path):
    """New rows and columns were zero before; what a stage does to old inputs leaves the new columns out."""
    name, old, new = "model.layers.0.mlp.up_proj.weight", torch.ones(2, 3), torch.arange(20.0).view(4, 5)
    for folder, weight in (("before", old), ("after", new)):
        (tmp_path / folder).mkdir()
        save_file({name: weight}, tmp_path / folder / "model.safetensors")
    changes = stage_change.changes(tmp_path / "after", tmp_path / "before", tmp_path / "none")
    (change,) = changes.values()
    expected = new.clone()
    expected[:2, :3] -= 1
    assert list(changes) == ["layers.0.mlp.up_proj"] and change.matrix().tolist() == [expected.tolist()]
    x = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(change.apply(x), x @ expected[:, :3].T)
    assert change.energy() == float((expected**2).sum())
