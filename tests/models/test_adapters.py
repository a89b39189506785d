"""Adapters on a network: what they cover, what stays frozen, and a network as a stage left it."""

import networks
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapted, adapters, forward, loading, lowrank

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
MLP = {"gate_proj", "up_proj", "down_proj"}


def logits(model):
    with torch.no_grad():
        return forward.base_network(model)(input_ids=IDS).logits


def drawn(scale):
    """Writes factors of this size."""
    draw = torch.Generator().manual_seed(0)

    def fill(name, *views):
        for view in views:
            view.copy_(scale * torch.randn(view.shape, generator=draw))

    return fill


def names(model):
    return {name.rpartition("layers.0.")[2] for name in lowrank.factors(model) if "layers.0." in name}


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_a_lora_covers_all_linear_layers_or_the_ffn_alone(nano, kind):
    """Fused experts, which are no linear layers, too; a router where it is asked for."""
    fused = {f"mlp.experts.{name}" for name in ("gate_up_proj", "down_proj")} if kind == "mixture" else set()
    shared = {f"mlp.shared_expert.{name}" for name in MLP} if kind == "mixture" else {f"mlp.{n}" for n in MLP}
    covered = {}
    for how in ({"targets": "mlp"}, {"targets": "all"}, {"targets": "mlp", "router": True}):
        model = adapters.add_lora(loading.load(nano(kind)[0]), 2, 4.0, **how)
        covered[how["targets"], "router" in how] = names(model)
        assert all(".lora_" in name for name, p in model.named_parameters() if p.requires_grad)
    router = {"mlp.gate.weight"} if kind == "mixture" else set()
    assert covered["mlp", False] == fused | shared
    assert covered["mlp", True] == fused | shared | router
    assert covered["all", False] > fused | shared and "mlp.gate.weight" not in covered["all", False]
    assert any(name.startswith("linear_attn.") for name in covered["all", False])


def test_dropout_is_left_out_where_peft_has_none():
    """On the bare parameters of fused experts it refuses it."""
    wanted = (
        adapted.Targets("all-linear", bare) for bare in ([], ["experts.gate_up_proj", "experts.down_proj"])
    )
    dense, mixture = (adapters.lora_config(4, 8.0, each, dropout=0.1) for each in wanted)
    assert (dense.lora_dropout, dense.target_parameters) == (0.1, None)
    assert mixture.lora_dropout == 0 and len(mixture.target_parameters) == 2
    assert (dense.r, dense.lora_alpha, dense.target_modules) == (4, 8.0, "all-linear")


@pytest.mark.parametrize("kind, routed", [("dense", False), ("mixture", True)])
def test_what_is_no_linear_layer_stays_frozen_and_the_log_says_so(nano, kind, routed, caplog):
    model = adapters.add_linear_lora(loading.load(nano(kind)[0]), 2, 4.0)
    assert ("routed experts" in caplog.text) == routed
    assert names(model) == {f"mlp.{'shared_expert.' * routed}{name}" for name in MLP}


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_in_float32_an_adapter_is_added_into_the_weights(nano, kind, tmp_path):
    """Weight by weight: base + alpha / rank B A, rounded once."""
    base = loading.load(nano(kind)[0])
    deltas = networks.make_adapter(loading.load(nano(kind)[0]), tmp_path, drawn(0.1))
    result = adapters.load_checkpoint(nano(kind)[0], tmp_path)
    assert not hasattr(result, "peft_config") and not result.training
    assert not any(p.requires_grad for p in result.parameters())
    merged = dict(result.named_parameters())
    changed = {name if name in merged else f"{name}.weight": delta for name, delta in deltas.items()}
    assert changed.keys() <= merged.keys() and len(changed) == len(deltas)
    for name, p in base.named_parameters():
        wanted = p if name not in changed else p + changed[name].view_as(p).float()
        torch.testing.assert_close(merged[name], wanted, atol=1e-6, rtol=1e-6, msg=name)


def test_in_bfloat16_it_stays_beside_and_a_new_one_alone_is_trained(nano, tmp_path):
    """An update that bfloat16 would round away: 1e-3 of weights of 0.2, whose neighbours lie 2^-10 apart."""
    networks.make_adapter(loading.load(nano("dense")[0]), tmp_path, drawn(0.02))
    base, here = loading.load(nano("dense")[0], "bf16"), loading.load(nano("dense")[0], "bf16")
    held = adapters.with_adapter(here, tmp_path)
    inside = {n.replace(".base_layer", ""): p for n, p in forward.base_network(held).named_parameters()}
    assert all(torch.equal(inside[name], p) for name, p in base.named_parameters())
    assert not any(p.requires_grad for p in held.parameters())
    before = logits(held)
    assert not torch.equal(before, logits(base)), "it is at work"
    both = adapters.add_lora(held, 2, 4.0)
    trained = [name for name, p in both.named_parameters() if p.requires_grad]
    assert trained and all(".default." in name for name in trained)
    assert any(f".{adapters.EARLIER}." in name for name, _ in both.named_parameters())
    assert torch.equal(logits(both), before), "B is 0 at the start, and the earlier one still at work"


def test_a_checkpoint_is_the_base_an_adapter_on_it_or_a_whole_model(nano, tmp_path):
    model = nano("llama")[0]
    whole = loading.load(model)
    whole.model.norm.weight.mul_(3)
    loading.save(whole, tmp_path / "whole", "fp32")
    networks.make_adapter(loading.load(model), tmp_path / "adapter", drawn(0.1))
    seen = [
        logits(adapters.load_checkpoint(model, a)) for a in (None, tmp_path / "adapter", tmp_path / "whole")
    ]
    torch.testing.assert_close(seen[0], logits(loading.load(model)))
    torch.testing.assert_close(seen[2], logits(whole))
    assert not torch.allclose(seen[0], seen[1], atol=1e-2) and not torch.allclose(seen[0], seen[2], atol=1e-2)
    assert [adapters.is_whole(tmp_path / name) for name in ("whole", "adapter", "none")] == [
        True,
        False,
        False,
    ]
    halved = adapters.load_checkpoint(model, tmp_path / "whole", {"precision": "bf16", "layers": 2})
    assert halved.dtype == torch.bfloat16


def test_a_folder_without_an_adapter_is_one_line(nano, tmp_path):
    with pytest.raises(InputError) as caught:
        adapters.load_checkpoint(nano("llama")[0], tmp_path)
    assert str(caught.value) == f"{tmp_path}: is not an adapter folder: it has no adapter_config.json"


def test_osf_takes_layers_that_a_share_can_part(nano, caplog):
    """A share of 0.02 is a direction of a matrix whose lesser side has 50: none of these, at most 32 wide."""
    assert adapters.osf_layers(adapters.add_osf(loading.load(nano("llama")[0]), 0.04, "mlp")).keys() == {
        f"model.layers.{layer}.mlp.{name}" for layer in (0, 1) for name in MLP
    }
    assert not caplog.text
    whole = adapters.osf_layers(adapters.add_osf(loading.load(nano("llama")[0]), 0.5))
    assert len(whole) == 2 * 7 and "lm_head" not in whole
    with pytest.raises(InputError) as caught:
        adapters.add_osf(loading.load(nano("llama")[0]), 0.02)
    line = "methods.osf: a share of 0.02 keeps no direction of any layer: raise keep"
    assert str(caught.value) == line


def test_osf_leaves_small_layers_alone_and_says_how_many(nano, caplog):
    """Three layers in four have projections of 4 rows, one for each head: 0.2 of 4 is none."""
    model = adapters.add_osf(loading.load(nano("dense")[0]), 0.2)
    linear = {n for n, m in loading.load(nano("dense")[0]).named_modules() if isinstance(m, torch.nn.Linear)}
    small = linear - {"lm_head"} - adapters.osf_layers(model).keys()
    assert small == {f"model.layers.{layer}.linear_attn.in_proj_{x}" for layer in range(3) for x in "ab"}
    assert (
        "OSF leaves 6 layers too small to part alone, the first is model.layers.0.linear_attn." in caplog.text
    )
