"""What a LoRA is put on, against the network's own parameters: all that was asked for, nothing else."""

import layouts
import pytest
import torch
from layouts import LAYOUTS

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, lowrank


def adapted(name, **how):
    """Names of the adapted weights and their ranks, of a fresh LoRA of rank 2."""
    factors = lowrank.factors(adapters.add_lora(layouts.make(name), 2, 4.0, **how))
    return {name.removesuffix(".weight"): factor.views[0].shape[1] for name, factor in factors.items()}


def weights(name, wanted):
    """The network's matrices whose names satisfy ``wanted``, without embedding, head and norms."""
    named = layouts.make(name).named_parameters()
    inside = [key.removesuffix(".weight") for key, p in named if p.dim() > 1 and ".layers." in f".{key}"]
    return {key for key in inside if wanted(key)}


def is_router(name):
    return name.endswith((".mlp.gate", ".router"))


def is_neurons(name):
    return (".mlp." in name or ".block_sparse_moe." in name) and not (
        is_router(name) or "expert_gate" in name
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_lora_is_on_all_that_was_asked_for_and_on_nothing_else(name):
    """With one rank on all of it: PEFT would double it, or add routers, in some families."""
    cases = {
        "all": (adapted(name), lambda n: not is_router(n)),
        "mlp": (adapted(name, targets="mlp"), is_neurons),
        "router": (adapted(name, targets="mlp", router=True), lambda n: is_neurons(n) or is_router(n)),
    }
    for got, wanted in cases.values():
        assert set(got) == weights(name, wanted) and set(got.values()) == {2}


@pytest.mark.parametrize("name", LAYOUTS)
def test_peft_alone_loads_what_was_saved(name, tmp_path):
    """Beside the weights and merged into them; the factors' own product is what the logits moved by."""
    wrapped, draw = adapters.add_lora(layouts.make(name), 2, 4.0), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for factor in lowrank.factors(wrapped).values():
            for tensor in factor.weights:
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=draw))
        logits = wrapped(input_ids=layouts.tokens()).logits
        wrapped.save_pretrained(str(tmp_path))
        beside = adapters.add_adapter(layouts.make(name), tmp_path)
        merged = adapters.with_adapter(layouts.make(name), tmp_path)
        torch.testing.assert_close(beside(input_ids=layouts.tokens()).logits, logits)
        torch.testing.assert_close(merged(input_ids=layouts.tokens()).logits, logits, atol=1e-3, rtol=1e-3)
        assert not torch.allclose(layouts.make(name)(input_ids=layouts.tokens()).logits, logits, atol=0.1)


def test_quantized_layers_that_are_bare_parameters_are_refused():
    model = layouts.make("first_dense")
    layer = model.model.layers[0].mlp.down_proj
    layer.weight = torch.nn.Parameter(layer.weight.to(torch.uint8), requires_grad=False)
    with pytest.raises(InputError, match=r"models\.\*\.quantization: .* quantized feed-forward layers"):
        adapters.add_lora(model, 2, 4.0)
