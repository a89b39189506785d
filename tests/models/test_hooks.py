"""What hooks see and do, against the same computed by hand from the weights."""

import pytest
import torch
from torch.nn.functional import linear, silu

from implicit_sparsity.models import ffn, loading
from implicit_sparsity.models.hooks.changing import neuron_deltas
from implicit_sparsity.models.hooks.watching import ffn_activations

KINDS = ("llama", "dense", "mixture")


def tokens(batch=2, length=12):
    return torch.randint(3, 300, (batch, length), generator=torch.Generator().manual_seed(0))


def run(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_the_input_of_down_proj(nano, kind):
    """Summed over what is observed, W_down h (times routing weight) must be the block's own output."""
    model, ids = loading.load(nano(kind)[0]), tokens()
    blocks, written, outputs = ffn.feed_forwards(model), {}, {}

    def observe(block, first, positions, h, weights):
        down = next(part[4] for part in block.parts() if part[0] == first)
        out = linear(h, down)
        if positions is None:
            rows = torch.arange(len(out))
            if block.experts:  # the shared expert is gated by a sigmoid that is not a neuron's business
                out = out * torch.sigmoid(block.mlp.shared_expert_gate(inputs[block.layer]))
        else:
            rows, out = positions, out * weights[:, None]
        written.setdefault(block.layer, torch.zeros(ids.numel(), 32)).index_add_(0, rows, out)

    inputs = {}
    for block in blocks:
        block.mlp.register_forward_pre_hook(
            lambda _, args, layer=block.layer: inputs.__setitem__(layer, args[0].flatten(0, 1))
        )
        block.mlp.register_forward_hook(
            lambda _, args, out, layer=block.layer: outputs.__setitem__(layer, out.flatten(0, 1))
        )
    with ffn_activations(model, observe):
        run(model, ids)
    assert set(written) == set(outputs) == set(range(len(blocks)))
    for layer in outputs:
        torch.testing.assert_close(written[layer], outputs[layer], atol=1e-5, rtol=1e-4)


def write(block, index, gate, up, down):
    """Add rows and columns to the weights themselves."""
    with torch.no_grad():
        for first, last, w_gate, w_up, w_down in block.parts():
            here = (index >= first) & (index < last)
            w_gate[index[here] - first] += gate[here]
            w_up[index[here] - first] += up[here]
            w_down[:, index[here] - first] += down[:, here]


@pytest.mark.parametrize("kind", KINDS)
def test_neuron_deltas_equal_changed_weights(nano, float64, kind):
    """Hooks that add rows and columns give the logits of a model whose weights were changed by as much."""
    model, ids = loading.load(nano(kind)[0]), tokens()
    plain, generator = run(model, ids), torch.Generator().manual_seed(1)
    layers = []
    for block in ffn.feed_forwards(model):
        index = torch.randperm(block.size, generator=generator)[: block.size // 3].sort().values
        k = len(index)
        layers.append((index, *(torch.randn(s, generator=generator) for s in ((k, 32), (k, 32), (32, k)))))
    with neuron_deltas(model, *map(list, zip(*layers, strict=True))):
        hooked = run(model, ids)
    assert torch.equal(run(model, ids), plain), "hooks stayed behind"
    for block, (index, *deltas) in zip(ffn.feed_forwards(model), layers, strict=True):
        write(block, index, *deltas)
    written = run(model, ids)
    assert not torch.allclose(plain, written, atol=1e-2)
    torch.testing.assert_close(hooked, written, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_deltas_is_that_of_the_weights(nano, float64, kind):
    """d loss / d delta at zero equals the rows and columns of d loss / d weight: nothing approximate."""
    model, ids = loading.load(nano(kind)[0]), tokens()
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
    dense = lambda mlp: [getattr(mlp, n).weight.grad for n in ("gate_proj", "up_proj", "down_proj")]  # noqa: E731
    if not block.experts:
        return [dense(block.mlp)]
    fused, w = block.mlp.experts, block.width
    return [
        [fused.gate_up_proj.grad[e, :w], fused.gate_up_proj.grad[e, w:], fused.down_proj.grad[e]]
        for e in range(block.experts)
    ] + [dense(block.mlp.shared_expert)]


def test_dense_activation_formula(nano):
    """h = silu(W_gate x) * (W_up x), by hand."""
    model, seen, x = loading.load(nano("llama")[0]), {}, {}
    block = ffn.feed_forwards(model)[0]
    block.mlp.register_forward_pre_hook(lambda _, args: x.update(x=args[0].flatten(0, 1)))
    with ffn_activations(model, lambda b, f, p, h, w: seen.setdefault(b.layer, h)):
        run(model, tokens())
    _, _, gate, up, _ = next(block.parts())
    torch.testing.assert_close(seen[0], silu(linear(x["x"], gate)) * linear(x["x"], up))
