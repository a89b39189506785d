"""Run a network, whether or not PEFT has wrapped it: hidden states, head, arithmetic, weights as numbers.

Shapes: B sequences, S positions, H hidden width, V vocabulary.
"""

import torch
from transformers import GenerationConfig


def base_network(model):
    """The transformers model inside, whether or not PEFT has wrapped it (PEFT injects its layers in
    place)."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def plain_weight(module, parameter: str = "weight"):
    """A module's weight as numbers, float32, also where bitsandbytes keeps it in 8 or 4 bits."""
    weight = getattr(module, parameter)
    if weight.dtype in (torch.int8, torch.uint8):
        from peft.utils.integrations import dequantize_module_weight

        weight = dequantize_module_weight(module)
    return weight.detach().float()


def arithmetic(model):
    """The context of a forward pass: bfloat16 where the weights are, for adapters on them too."""
    weight = base_network(model).get_input_embeddings().weight
    return torch.autocast(weight.device.type, torch.bfloat16, enabled=weight.dtype == torch.bfloat16)


def hidden_states(model, ids, mask=None, **kwargs):
    """Last hidden states [B, S, H]; the language-model head is not run."""
    network = base_network(model)
    with arithmetic(model):
        return network.model(input_ids=ids, attention_mask=mask, use_cache=False, **kwargs).last_hidden_state


def inputs(batch: dict) -> dict:
    """Arguments of ``hidden_states`` from a batch: padded rows, or documents packed in one."""
    if "lengths" in batch:
        return {
            "ids": batch["input_ids"],
            "position_ids": batch["position_ids"],
            "document_lengths": batch["lengths"],
        }
    return {"ids": batch["input_ids"], "mask": batch["attention_mask"]}


def checkpoint_gradients(model, contexts) -> None:
    """Keep only each layer's input for the backward pass and compute the layer again there.

    ``contexts()`` gives the two contexts (of the forward pass, of the recomputation) that
    ``torch.utils.checkpoint`` runs a layer in.
    """
    base_network(model).activation_checkpointing_enable({"use_reentrant": False, "context_fn": contexts})


def keep_gradients(model) -> None:
    """Undo ``checkpoint_gradients``."""
    base_network(model).activation_checkpointing_disable()


def head(model):
    """The language-model head: [.., H] -> logits [.., V]."""
    return base_network(model).lm_head


def greedy(max_new_tokens: int, stop: int | None, pad: int):
    """Generation settings: the likeliest token each time, until ``stop``."""
    return GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop, pad_token_id=pad
    )
