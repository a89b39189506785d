"""What a forward pass keeps for the backward pass."""

import torch
from networks import documents, network

from implicit_sparsity.models import adapters, batching, forward, losses
from implicit_sparsity.models.hooks.routing import SteadyRouting


def test_checkpointed_gradients_hold_less(nano):
    """Bytes that autograd keeps for the backward pass, with and without."""
    held = {}
    for on in (False, True):
        model = adapters.add_lora(network("dense"), 2, 4).train()
        routing = SteadyRouting(model)
        if on:
            forward.checkpoint_gradients(model, routing.contexts)
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            loss = losses.completion_loss(model, batching.collate(documents()))
        held[on] = sum(sizes.values())
        loss.backward()
    assert held[True] < 0.5 * held[False]
