"""The side branch: a wider model that says the same at its start, and writes nothing old."""

import layouts
import networks
import pytest
import torch
from test_methods import KINDS, logits, train
from transformers import AutoModelForCausalLM

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.side_branch import SideBranch
from implicit_sparsity.models import adapters, ffn, loading
from implicit_sparsity.options import load
from implicit_sparsity.training import audit
from implicit_sparsity.training.stage import Stage

OPTIONS = {"fraction": 0.1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_branch_leaves_a_wider_model_that_transformers_loads(nano, kind, precision, tmp_path):
    """Two stages: the logits of training, every old number to the bit, K neurons wider each time.

    In bfloat16, whose sums round elsewhere in one wide product than in two, the numbers in training instead.
    """
    previous, size = None, ffn.feed_forwards(loading.load(nano(kind)[0]))[0].size
    wanted, dtype = round(0.1 * size), {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    old = loading.load(nano(kind)[0], precision)
    for count in (1, 2):
        folder = tmp_path / str(count)
        _, method, result, seen = train(
            nano, kind, "side_branch", count, folder, previous, OPTIONS, precision=precision
        )
        assert not method.adapter and adapters.is_whole(folder)
        assert result["audit"]["trainable_parameters"] == 4 * 3 * wanted * 32
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        if precision == "fp32":
            torch.testing.assert_close(logits(model), seen, atol=1e-4, rtol=1e-3)
        for block, parts in zip(ffn.feed_forwards(model), method.branch.layers, strict=True):
            gate, up, d_gate, d_up, down = (part.detach() for part in parts)
            mlp = block.dense.mlp
            assert torch.equal(mlp.gate_proj.weight[-wanted:], (gate + d_gate).to(dtype))
            assert torch.equal(mlp.up_proj.weight[-wanted:], (up + d_up).to(dtype))
            assert torch.equal(mlp.down_proj.weight[:, -wanted:], down.to(dtype)) and down.any()
        assert not torch.allclose(logits(old), seen, atol=1e-3)
        blocks, were = ffn.feed_forwards(model), dict(old.named_parameters())
        assert [block.size for block in blocks] == [size + count * wanted] * 4
        for name, p in model.named_parameters():
            if p.shape != were[name].shape:
                p = p[tuple(slice(n) for n in were[name].shape)]
            assert torch.equal(p, were[name]), name
        previous, old = folder, model


@pytest.mark.parametrize("kind", KINDS)
def test_branch_says_nothing_before_it_is_trained(nano, kind):
    model, tokens = nano(kind)
    here = Stage(str(model), ["code"], [tokens["code"]], 0, networks.TRAINING)
    method = load("methods", "side_branch", **OPTIONS)
    method.begin(here)
    assert torch.equal(logits(here.model, method), logits(loading.load(nano(kind)[0])))
    block = ffn.feed_forwards(here.model)[2]
    gate, up = method.branch.layers[2][:2]
    for row, number in enumerate(method.chosen[2].tolist()):
        first, _, w_gate, w_up, _ = next(p for p in block.parts() if p[0] <= number < p[1])
        assert torch.equal(gate[row], w_gate[number - first]) and torch.equal(up[row], w_up[number - first])


def test_census_catches_a_branch_that_writes_the_body(nano, tmp_path, monkeypatch):
    def nudge(self, model):
        with torch.no_grad():
            ffn.feed_forwards(model)[1].mlp.down_proj.weight[3, 4] += 1e-3

    monkeypatch.setattr(SideBranch, "step", nudge)
    with pytest.raises(audit.StageFailed, match=r"frozen .*layers\.1\.mlp\.down_proj"):
        train(nano, "dense", "side_branch", 1, tmp_path / "x", options=OPTIONS)


@pytest.mark.parametrize("choose", ["random", "hub", "weight", "least"])
def test_controls_grow_as_many_neurons_from_other_copies(nano, choose, tmp_path):
    _, method, result, _ = train(nano, "dense", "side_branch", 1, tmp_path / "1")
    _, other, control, _ = train(
        nano, "dense", "side_branch", 1, tmp_path / "2", options=OPTIONS | {"choose": choose}
    )
    numbers = [outcome["audit"]["trainable_parameters"] for outcome in (result, control)]
    assert numbers[0] == numbers[1] > 0
    same = all(torch.equal(method.chosen[layer], other.chosen[layer]) for layer in method.chosen)
    assert same == (choose == "hub"), "at the first stage the hubs are the domain's own"


@pytest.mark.parametrize("name", ["plain", "fused", "unshared", "some_dense", "first_dense"])
def test_layers_that_cannot_grow_are_refused_before_anything_changes(name):
    """Biases, one weight of gate and up, no expert for all tokens, layers that differ."""
    model = layouts.make(name)
    with pytest.raises(InputError, match=r"methods.side_branch.models: .*: name other models"):
        SideBranch().check(model)
    SideBranch().check(layouts.make("gelu"))
    SideBranch().check(layouts.make("shared_gated"))
