"""Neurons beside a layer's own, against the layer made wider by hand."""

import networks
import pytest
import torch
from test_watching import KINDS, tokens

from implicit_sparsity.models import ffn
from implicit_sparsity.models.hooks.branching import side_branches

WIDTH = 3


def branches(blocks):
    """Per layer (gate, up, their changes [K, H], down [H, K])."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(WIDTH, 32)] * 4 + [(32, WIDTH)]
    return [tuple(torch.randn(shape, generator=draw) for shape in shapes) for _ in blocks]


def widen(block, gate, up, d_gate, d_up, down):
    """Append the neurons to the layer's own, of a mixture to the shared expert's."""
    mlp = block.mlp.shared_expert if block.experts else block.mlp
    for linear, more, axis in (
        (mlp.gate_proj, gate + d_gate, 0),
        (mlp.up_proj, up + d_up, 0),
        (mlp.down_proj, down, 1),
    ):
        linear.weight = torch.nn.Parameter(torch.cat([linear.weight, more], axis), requires_grad=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_branch_is_a_wider_layer(float64, kind):
    """In a mixture under the gate of the shared expert. Rounding as in test_changing.py."""
    model, ids = networks.network(kind), tokens()
    blocks = ffn.feed_forwards(model)
    layers, plain = branches(blocks), networks.logits(model, ids)
    with side_branches(model, layers):
        beside = networks.logits(model, ids)
    assert torch.equal(networks.logits(model, ids), plain), "hooks stayed behind"
    for block, parts in zip(blocks, layers, strict=True):
        widen(block, *parts)
    wider = networks.logits(model, ids)
    assert not torch.allclose(plain, wider, atol=1e-2)
    torch.testing.assert_close(beside, wider, atol=1e-8, rtol=0)


def test_a_branch_with_zero_down_says_nothing_and_learns_there_first(float64):
    """Where D is 0 it alone has a gradient, and the network computes what it did."""
    model, ids = networks.network("llama"), tokens()
    layers = [
        (*parts[:2], *(torch.zeros_like(x).requires_grad_() for x in parts[2:]))
        for parts in branches(ffn.feed_forwards(model))
    ]
    plain = networks.logits(model, ids)
    with side_branches(model, layers):
        result = model(input_ids=ids, labels=ids)
        result.loss.backward()
    torch.testing.assert_close(result.logits, plain, atol=1e-12, rtol=0)
    for _, _, d_gate, d_up, down in layers:
        assert down.grad.any() and not d_gate.grad.any() and not d_up.grad.any()


def test_a_branch_of_bfloat16_weights_is_computed_in_their_precision():
    """Changes and D, which are trained in float32, are rounded to it first."""
    model = networks.network("llama").to(torch.bfloat16)
    block, layers = ffn.feed_forwards(model)[0], branches(ffn.feed_forwards(model))
    gate, up, d_gate, d_up, down = layers[0]
    layers = [(*(x.bfloat16() for x in parts[:2]), *parts[2:]) for parts in layers]
    x = torch.randn(5, 32).bfloat16()
    with torch.no_grad():
        plain = block.mlp(x)
        with side_branches(model, layers):
            beside = block.mlp(x)
    rows = [(a.bfloat16().float() + b).bfloat16() for a, b in ((gate, d_gate), (up, d_up))]
    h = torch.nn.functional.silu(x @ rows[0].T) * (x @ rows[1].T)
    assert beside.dtype == torch.bfloat16
    torch.testing.assert_close(beside, plain + h @ down.bfloat16().T)


def test_a_branch_for_each_layer_or_none():
    model = networks.network("llama")
    with pytest.raises(ValueError), side_branches(model, branches(ffn.feed_forwards(model))[:1]):
        pass
    assert not any(module._forward_hooks for module in model.modules())
