"""Hooks that change what a network computes, against the same with changed weights."""

import layouts
import networks
import pytest
import torch
from layouts import LAYOUTS
from test_watching import KINDS, tokens

from implicit_sparsity.models import ffn, loading
from implicit_sparsity.models.hooks.changing import neuron_deltas


def write(block, index, gate, up, down):
    """Add rows and columns to the weights themselves."""
    with torch.no_grad():
        for first, last, w_gate, w_up, w_down in block.parts():
            here = (index >= first) & (index < last)
            w_gate[index[here] - first] += gate[here]
            w_up[index[here] - first] += up[here]
            w_down[:, index[here] - first] += down[:, here]


@pytest.mark.parametrize("kind", [*KINDS, *LAYOUTS])
def test_neuron_deltas_equal_changed_weights(nano, float64, kind):
    """Hooks that add rows and columns give the logits of a model whose weights were changed by as much."""
    model, ids = layouts.make(kind) if kind in LAYOUTS else loading.load(nano(kind)[0]), tokens()
    plain, generator = networks.logits(model, ids), torch.Generator().manual_seed(1)
    layers = []
    for block in ffn.feed_forwards(model):
        index = torch.randperm(block.size, generator=generator)[: block.size // 3].sort().values
        k = len(index)
        layers.append((index, *(torch.randn(s, generator=generator) for s in ((k, 32), (k, 32), (32, k)))))
    with neuron_deltas(model, *map(list, zip(*layers, strict=True))):
        hooked = networks.logits(model, ids)
    assert torch.equal(networks.logits(model, ids), plain), "hooks stayed behind"
    for block, (index, *deltas) in zip(ffn.feed_forwards(model), layers, strict=True):
        write(block, index, *deltas)
    written = networks.logits(model, ids)
    assert not torch.allclose(plain, written, atol=1e-2)
    torch.testing.assert_close(hooked, written, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", [*KINDS, *LAYOUTS])
def test_gradient_of_deltas_is_that_of_the_weights(nano, float64, kind):
    """d loss / d delta at zero equals the rows and columns of d loss / d weight: nothing approximate."""
    model, ids = layouts.make(kind) if kind in LAYOUTS else loading.load(nano(kind)[0]), tokens()
    block = ffn.feed_forwards(model)[1]
    index = torch.arange(0, block.size, 3)
    none = [torch.zeros(0, dtype=torch.int64), *(torch.zeros(s) for s in ((0, 32), (0, 32), (32, 0)))]
    shapes = ((len(index), 32), (len(index), 32), (32, len(index)))
    chosen = [index, *(torch.zeros(s, requires_grad=True) for s in shapes)]
    layers = [chosen if b.layer == 1 else none for b in ffn.feed_forwards(model)]
    with neuron_deltas(model, *map(list, zip(*layers, strict=True))):
        model(input_ids=ids, labels=ids).loss.backward()
    model.requires_grad_(True)
    model(input_ids=ids, labels=ids).loss.backward()
    for (first, last, *_), grads in zip(block.parts(), grads_of(block), strict=True):
        here = (index >= first) & (index < last)
        for delta, grad in zip(chosen[1:3], grads[:2], strict=True):
            torch.testing.assert_close(delta.grad[here], grad[index[here] - first], atol=1e-8, rtol=0)
        down = grads[2][:, index[here] - first]
        torch.testing.assert_close(chosen[3].grad[:, here], down, atol=1e-8, rtol=0)


def grads_of(block):
    """Gradients in the order of ``block.parts``."""

    def dense(mlp):
        if hasattr(mlp, "gate_up_proj"):
            return [*mlp.gate_up_proj.weight.grad.chunk(2), mlp.down_proj.weight.grad]
        return [getattr(mlp, n).weight.grad for n in ("gate_proj", "up_proj", "down_proj")]

    if not block.experts:
        return [dense(block.mlp)]
    fused, w = block.mlp.experts, block.width
    return [
        [fused.gate_up_proj.grad[e, :w], fused.gate_up_proj.grad[e, w:], fused.down_proj.grad[e]]
        for e in range(block.experts)
    ] + ([dense(block.dense.mlp)] if block.dense else [])
