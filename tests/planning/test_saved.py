"""Memory of the backward pass: the formula against what autograd really saves."""

import contextlib

import networks
import pytest
import torch

from implicit_sparsity.models import adapters, forward, loading
from implicit_sparsity.planning import saved, shapes, trained

# Masks, rotary tables and autocast's copies of the adapters are left out of the formula; of a length that is
# no multiple of Gated DeltaNet's chunk it takes all to be padded, some is not.
TOLERANCE = {64: 0.05, 192: 0.05, 100: 0.09}


def adapted(kind, precision, targets="all"):
    network = loading.create(networks.CONFIGS[kind], 0).requires_grad_(False)
    network = network.to({"fp32": torch.float32, "bf16": torch.bfloat16}[precision])
    return adapters.add_lora(network, 4, 8, targets).train()


def autocast(precision):
    """As the Trainer runs a model in bfloat16."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def bytes_saved(model, run):
    """Bytes of the storages that autograd keeps while ``run`` goes, each once, parameters left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    held = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no address comes twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(size for size, _ in held.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("targets, length", [("all", 64), ("all", 192), ("mlp", 100)])
@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_formula_against_autograd(kind, targets, length, precision):
    network = adapted(kind, precision, targets)
    shape = shapes.of_network(loading.create(networks.CONFIGS[kind], 0))
    ids = torch.randint(0, 300, (2, length))
    with autocast(precision):
        real = bytes_saved(network, lambda: forward.hidden_states(network, ids, torch.ones_like(ids)))
    method = trained.of_method(shape, "lora", {"rank": 4, "targets": targets})
    formula = saved.whole(shape, method, precision, ids.numel(), length, checkpointing=False)
    assert formula["kept"] == pytest.approx(real, rel=TOLERANCE[length])


def checkpointed(network, ids):
    """(bytes kept, the most that one layer saves when it is computed again) under checkpointing."""
    seen = []
    for layer in forward.base_network(network).model.layers:

        def record(module, args, kwargs):
            seen.append((module, (args[0].detach().requires_grad_(), *args[1:]), kwargs))

        layer.register_forward_pre_hook(record, with_kwargs=True)
    retained = bytes_saved(network, lambda: forward.hidden_states(network, ids, torch.ones_like(ids)))
    forward.keep_gradients(network)
    runs = [lambda call=call: call[0].forward(*call[1], **call[2]) for call in seen]
    return retained, max(bytes_saved(network, run) for run in runs)


@pytest.mark.parametrize("length", [64, 192])
@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_checkpointing_against_autograd(kind, length):
    network = adapted(kind, "fp32")
    shape = shapes.of_network(loading.create(networks.CONFIGS[kind], 0))
    forward.checkpoint_gradients(network, lambda: (contextlib.nullcontext(), contextlib.nullcontext()))
    retained, again = checkpointed(network, torch.randint(0, 300, (2, length)))
    method = trained.of_method(shape, "lora", {"rank": 4})
    formula = saved.whole(shape, method, "fp32", 2 * length, length, checkpointing=True)
    assert formula["kept"] == pytest.approx(retained, rel=TOLERANCE[length])
    assert formula["again"] == pytest.approx(again, rel=TOLERANCE[length])
