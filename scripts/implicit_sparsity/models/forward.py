"""Run a network, whether or not PEFT has wrapped it: hidden states, head, arithmetic, weights as numbers.

Shapes: B sequences, S positions, H hidden width, V vocabulary.
"""

import torch
from transformers import GenerationConfig

from . import families


def base_network(model):
    """The transformers model inside, whether or not PEFT has wrapped it (PEFT injects its layers in
    place)."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def decoder(model):
    """The decoder inside, all but the head: what has ``layers`` and gives the last hidden states."""
    return base_network(model).get_decoder()


def last_norm(model):
    """The norm behind the decoder's last layer."""
    return getattr(decoder(model), families.of_network(base_network(model)).norm)


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
    with arithmetic(model):
        return decoder(model)(input_ids=ids, attention_mask=mask, use_cache=False, **kwargs).last_hidden_state


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


class Head(torch.nn.Module):
    """From last hidden states [.., H] to the model's own logits [.., V]: the linear layer, and what the
    family does behind it (``families.Transform``), in float32 or wider."""

    def __init__(self, linear, transform=None, number=None):
        super().__init__()
        self.linear, self.transform, self.number = linear, transform, number

    def forward(self, states):
        result = self.linear(states)
        if self.number is None:
            return result
        return self.transform.apply(result.to(torch.promote_types(result.dtype, torch.float32)), self.number)

    @property
    def weight(self):
        """[V, H], of the linear layer."""
        return self.linear.weight


def head(model) -> Head:
    """The model's own way from last hidden states to logits; nothing else may make logits of them."""
    network = base_network(model)
    transform = families.of_network(network).logits
    number = transform and getattr(network.config.get_text_config(), transform.field)
    return Head(network.get_output_embeddings(), transform, number)


def greedy(max_new_tokens: int, stop: int | None, pad: int):
    """Generation settings: the likeliest token each time, until ``stop``."""
    return GenerationConfig(
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop, pad_token_id=pad
    )


def generate(model, ids, mask, settings, criteria=()):
    """Tokens [B, S + new] of prompts [B, S], padded at their left; by these settings and no others. A row
    also ends where one of the ``criteria`` says so: (tokens so far, scores) -> bool [B].

    transformers fills what a ``GenerationConfig`` leaves open from the network's own, which a checkpoint
    ships: penalties, forced and forbidden tokens, other ends would bend the answers.
    """
    network = base_network(model)
    shipped, network.generation_config = network.generation_config, GenerationConfig()
    try:
        more = {"stopping_criteria": list(criteria)} if criteria else {}
        return network.generate(input_ids=ids, attention_mask=mask, generation_config=settings, **more)
    finally:
        network.generation_config = shipped
