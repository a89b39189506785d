"""What hooks see, against the same computed by hand from the weights."""

import families as nanos
import layouts
import networks
import pytest
import torch
from layouts import LAYOUTS
from torch.nn.functional import linear, silu

from implicit_sparsity.models import families, ffn, loading
from implicit_sparsity.models.hooks.watching import ffn_activations

KINDS = ("llama", "dense", "mixture")


def tokens(batch=2, length=12):
    return torch.randint(3, 300, (batch, length), generator=torch.Generator().manual_seed(0))


ALL = [*KINDS, *LAYOUTS, *families.FAMILIES]


@pytest.mark.parametrize(
    ("kind", "experts"), [*((k, "grouped_mm") for k in ALL), *((k, "eager") for k in (*KINDS, *LAYOUTS))]
)
def test_activations_are_the_input_of_down_proj(nano, kind, experts):
    """Summed over what is observed, W_down h (times routing weight) must be the block's own output."""
    if kind in families.FAMILIES and kind not in KINDS:
        model = nanos.network(kind)
    else:
        model = layouts.make(kind) if kind in LAYOUTS else loading.load(nano(kind)[0])
    ids = tokens()
    model.config._experts_implementation = experts
    blocks, written, outputs = ffn.feed_forwards(model), {}, {}

    def observe(block, first, positions, h, weights):
        down = next(part[4] for part in block.parts() if part[0] == first)
        out = linear(h, down, getattr(block.dense.mlp.down_proj, "bias", None) if block.dense else None)
        if positions is None:
            rows = torch.arange(len(out))
            # a shared expert may be gated by a sigmoid that is not a neuron's business
            if hasattr(block.mlp, "shared_expert_gate"):
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
        networks.logits(model, ids)
    assert set(written) == set(outputs) == set(range(len(blocks)))
    for layer in outputs:
        torch.testing.assert_close(written[layer], outputs[layer], atol=1e-5, rtol=1e-4)


def test_dense_activation_formula(nano):
    """h = silu(W_gate x) * (W_up x), by hand."""
    model, seen, x = loading.load(nano("llama")[0]), {}, {}
    block = ffn.feed_forwards(model)[0]
    block.mlp.register_forward_pre_hook(lambda _, args: x.update(x=args[0].flatten(0, 1)))
    with ffn_activations(model, lambda b, f, p, h, w: seen.setdefault(b.layer, h)):
        networks.logits(model, tokens())
    _, _, gate, up, _ = next(block.parts())
    torch.testing.assert_close(seen[0], silu(linear(x["x"], gate)) * linear(x["x"], up))


def test_nothing_stays_on_the_experts():
    model = loading.create(networks.MIXTURE, 0).eval()
    experts = model.model.layers[0].mlp.experts
    with pytest.raises(RuntimeError, match="stop"), ffn_activations(model, print):
        assert "_apply_gate" in vars(experts)
        raise RuntimeError("stop")
    assert "_apply_gate" not in vars(experts) and not experts._forward_pre_hooks
