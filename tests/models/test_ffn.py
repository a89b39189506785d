"""Feed-forward blocks: what is read of them leaves the weights alone."""

import layouts
import networks
import pytest
import torch
from layouts import LAYOUTS
from transformers import AutoConfig, AutoModelForCausalLM

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn, loading


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_columns_leave_the_weights_alone(dtype):
    model = loading.create(networks.MIXTURE, 0).to(dtype)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    block = ffn.feed_forwards(model)[0]
    norms = block.down_norms()
    shared = block.mlp.shared_expert.down_proj.weight.double().norm(dim=0)
    torch.testing.assert_close(norms[-len(shared) :], shared)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layer_is_described(name):
    """Widths by hand; the parts are the neurons in order, and say what the block says."""
    blocks, (_, by_hand) = ffn.feed_forwards(layouts.make(name)), LAYOUTS[name]
    got = [(b.experts, b.width, b.shared) if b.experts else b.width for b in blocks]
    assert got == by_hand and ffn.sizes(blocks) == layouts.SIZES[name]
    assert ffn.mixed(blocks) == (len(set(by_hand)) > 1)
    for block in blocks:
        firsts, lasts = zip(*((first, last) for first, last, *_ in block.parts()), strict=True)
        assert (0, *lasts) == (*firsts, block.size)
        owner = [-1 if first >= block.routed else first // block.width for first in firsts]
        sizes = [last - first for first, last in zip(firsts, lasts, strict=True)]
        assert block.owner.tolist() == [o for o, n in zip(owner, sizes, strict=True) for _ in range(n)]
        norms = torch.cat([down.norm(dim=0) for *_, down in block.parts()])
        torch.testing.assert_close(block.down_norms().float(), norms)


OTHERS = {  # families whose neurons are of another kind
    "nemotron": ({}, "without a gate .NemotronMLP."),
    "starcoder2": ({}, "without a gate .Starcoder2MLP."),
    "gpt_oss": ({"num_local_experts": 4, "head_dim": 16}, "in another form .GptOssExperts."),
    "lfm2": ({}, "no gated feed-forward block in layer 0"),
}


@pytest.mark.parametrize("family", OTHERS)
def test_neurons_of_another_kind_are_refused_by_the_familys_name(family):
    more, line = OTHERS[family]
    config = AutoConfig.for_model(family, **layouts.SMALL | more)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    with pytest.raises(InputError, match=f"{family} .*{line}"):
        ffn.feed_forwards(network)
