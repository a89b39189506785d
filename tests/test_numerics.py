"""What makes large models fit changes no result, or as little as is said here: bfloat16, 8 and 4 bits,
adapters beside the weights, in whole stages."""

import networks
import numpy as np
import pytest
import test_methods
import torch
from test_methods import DOMAINS, KINDS, METHODS, OPTIONS, PAIRS, logits, train, trained  # noqa: F401 (a fixture)
from transformers.integrations import moe

from implicit_sparsity.models import adapters, ffn, forward, loading
from implicit_sparsity.options import load
from implicit_sparsity.training import fit, stage

# methods whose stages go on from an adapter; those that start from the base model learnt nothing before
CONTINUED = [m for m in METHODS if load("methods", m).adapter and load("methods", m).STARTS == "previous"]


def exact_logits(model, method=None):
    """Of the weights as they are, computed in float64; they have their own precision again afterwards."""
    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    precisions = [tensor.dtype for tensor in tensors]
    for tensor in tensors:
        tensor.data = tensor.data.double()
    result = logits(model, method)
    for tensor, precision in zip(tensors, precisions, strict=True):
        tensor.data = tensor.data.to(precision)
    return result


@pytest.mark.parametrize("kind, name", [pair for pair in PAIRS if pair[1] in CONTINUED])
def test_bfloat16_keeps_what_earlier_stages_learnt(nano, kind, name, tmp_path, monkeypatch):
    """A small update added to bfloat16 weights would be rounded away: it stays beside them, to the bit.

    The networks are compared in float64, where no logit is rounded as much as the update moves it.
    """
    monkeypatch.setattr(moe, "_can_use_grouped_mm", lambda *given: False)  # torch's kernel has no float64
    model, tokens = nano(kind)
    given = {"precision": "bf16", "outputs": exact_logits}
    _, _, result, learnt = train(nano, kind, name, 1, tmp_path / "1", **given)
    assert np.isfinite([row["loss"] for row in result["curve"]]).all()
    shards = [tokens[domain] for domain in DOMAINS]
    here = stage.Stage(
        str(model), DOMAINS, shards, 0, networks.TRAINING | {"precision": "bf16"}, str(tmp_path / "1")
    )
    method = load("methods", name, **OPTIONS.get(name, {}))
    here.model = method.begin(here)
    untouched = loading.load(model, "bf16")
    measured = adapters.load_checkpoint(model, tmp_path / "1", {"precision": "bf16"})
    for changed in (here.model, measured):
        weights = {
            n.replace(".base_layer", ""): p for n, p in forward.base_network(changed).named_parameters()
        }
        assert all(torch.equal(weights[n], p) for n, p in untouched.named_parameters())
    assert (exact_logits(untouched) - learnt).abs().max() > 0.01
    for changed in ((here.model, method), (measured,)):
        torch.testing.assert_close(exact_logits(*changed), learnt, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("quantization", "error"), [("int8", 0.02), ("nf4", 0.12)])
def test_quantized_base_learns_and_is_measured(tmp_path, kind, quantization, error, monkeypatch):
    """8 and 4 bits (bitsandbytes): weights within ``error``, a LoRA learns on them, neurons have norms."""
    bnb = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    # its AVX-512 kernel takes widths in multiples of 32 only, which nano heads are not
    monkeypatch.setattr(bnb.nn.modules, "has_avx512bf16", lambda: False)
    wide = {"hidden_size": 64, "head_dim": 32, "linear_value_head_dim": 16}  # 4 bits come in blocks of 64
    wide |= {"moe_intermediate_size": 64, "shared_expert_intermediate_size": 64, "num_experts_per_tok": 8}
    monkeypatch.setitem(networks.CONFIGS, kind, networks.CONFIGS[kind] | wide)
    model = networks.make_model(tmp_path / "model", kind)
    tokens = networks.make_tokens(tmp_path / "code", model, "code")
    plain, small = loading.load(model), loading.load(model, "bf16", quantization=quantization)
    for name, module in plain.named_modules():
        if name.endswith("_proj"):
            here = small.get_submodule(name)
            assert here.weight.dtype == {"int8": torch.int8, "nf4": torch.uint8}[quantization]
            assert (forward.plain_weight(here) - module.weight).norm() < error * module.weight.norm()
    for here, whole in zip(ffn.feed_forwards(small), ffn.feed_forwards(plain), strict=True):
        torch.testing.assert_close(here.down_norms(), whole.down_norms(), rtol=0.1, atol=0.1)
    settings = networks.TRAINING | {"precision": "bf16", "quantization": quantization}
    here = stage.Stage(str(model), ["code"], [tokens], 0, settings)
    result = fit.run_stage(here, load("methods", "lora"), tmp_path / "scratch")
    assert result["audit"]["without_gradient"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_beside_the_weights_count_in_what_a_neuron_writes(trained, nano, kind):  # noqa: F811
    """Norms of down columns are those of the merged weights, in every layer, experts and shared expert."""
    model, folder = nano(kind)[0], trained(kind, "lora")[1][0]
    beside = ffn.feed_forwards(adapters.add_adapter(loading.load(model), folder))
    merged, base = (ffn.feed_forwards(adapters.load_checkpoint(model, a)) for a in (folder, None))
    for here, whole, before in zip(beside, merged, base, strict=True):
        torch.testing.assert_close(here.down_norms(), whole.down_norms(), atol=1e-4, rtol=1e-4)
        assert (whole.down_norms() - before.down_norms()).abs().max() > 1e-3


def test_the_matrix_of_methods_is_not_empty():
    assert {"lora", "activation_mask", "orthogonal"} <= set(METHODS) and test_methods.ROOM.is_dir()
