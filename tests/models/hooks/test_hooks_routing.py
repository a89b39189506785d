"""Routers decide once: layers that are computed again keep the choice."""

from contextlib import nullcontext

import layouts
import pytest
import torch
from networks import LENGTHS, documents, network

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, batching, forward, losses
from implicit_sparsity.models.hooks.routing import SteadyRouting


def test_a_router_that_would_flip_is_counted_and_held_to_its_choice():
    """Noise on a router's input in the recomputation alone: the gradient is that of the forward pass."""
    gradients = {}
    for noise in (0.0, 3.0):
        torch.manual_seed(0)
        model = adapters.add_lora(network("mixture"), 2, 4).train()
        with SteadyRouting(model).holding() as routing:
            forward.checkpoint_gradients(model, routing.contexts)
            gate = forward.base_network(model).model.layers[1].mlp.gate
            shaken = []

            def shake(_, args, noise=noise, routing=routing, shaken=shaken):
                if routing.again and noise:
                    shaken.append(1)
                    return (args[0] + noise * torch.randn_like(args[0]),)
                return args

            gate.register_forward_pre_hook(shake)
            losses.completion_loss(model, batching.collate(documents())).backward()
        gradients[noise] = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        counts = routing.counts()
        positions = len(LENGTHS) * max(LENGTHS)
        assert counts["router_decisions"] == positions * 4
        assert (counts["router_flips"] > positions / 4) == bool(noise) and bool(shaken) == bool(noise)
        assert counts["router_flips"] <= positions
    # the experts of layer 3 and 2 do not see the shaken router at all; those of layer 1 keep their tokens
    for name, gradient in gradients[0.0].items():
        if ".layers.3." in name or ".layers.2." in name:
            torch.testing.assert_close(gradients[3.0][name], gradient, msg=name)


ROUTED = [
    name for name, (_, layers) in layouts.LAYOUTS.items() if not all(isinstance(n, int) for n in layers)
]


@pytest.mark.parametrize(
    "name, more", [*((name, {}) for name in ROUTED), ("unshared_olmoe", {"norm_topk_prob": True})]
)
def test_layers_computed_again_give_the_same_gradient_in_every_family(name, more):
    """Whatever way a router weighs its experts, hooks change nothing: the plain gradient, without hooks."""
    gradients = []
    for held in (False, True):
        torch.manual_seed(0)
        model = adapters.add_lora(
            layouts.make(name, **more), 2, 4, router=True, init_lora_weights=False
        ).train()
        with SteadyRouting(model).holding() if held else nullcontext() as routing:
            if held:
                forward.checkpoint_gradients(model, routing.contexts)
            losses.completion_loss(model, batching.collate(documents())).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert set(gradients[0]) == set(gradients[1]) and any("lora_A" in n for n in gradients[0])
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, atol=1e-5, rtol=1e-3, msg=key)
    assert routing.counts()["router_flips"] == 0


def test_a_router_of_another_kind_is_refused():
    """One whose weights do not follow from its logits as of those known."""
    model = layouts.make("unshared").train()
    gate = model.model.layers[0].mlp.gate
    gate.register_forward_hook(lambda _, args, output: (output[0], output[1].sqrt(), output[2]))
    with SteadyRouting(model).holding(), pytest.raises(InputError, match="Qwen3MoeTopKRouter weighs experts"):
        losses.completion_loss(model, batching.collate(documents())).backward()
