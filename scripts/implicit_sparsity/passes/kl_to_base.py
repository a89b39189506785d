"""KL(base || tuned) of completion tokens, on the documents that are scored.

The base model goes over the documents first and leaves what its head was given, [tokens, H] of each: in
files, so that it does so once for all checkpoints. Then the adapter is put on the same network (in float32
into its weights), or the stage's whole model is loaded in its place. Logits are made of some tokens at a time
(``representations.divergences``).
"""

import gc
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from implicit_sparsity.models import adapters, forward
from implicit_sparsity.models.batching import collate, sorted_batches, to_device
from implicit_sparsity.provenance import cache

from . import representations, scoring


@dataclass(frozen=True)
class BaseOutputs:
    """The base model's head, and what it was given: domain -> a tensor [completion tokens, H] a document."""

    head: object
    states: dict

    def divergences(self, model, domain: str, i: int, states):
        """KL in nats at the completion tokens of document i, whose ``states`` ``model`` has made: float64
        [C]."""
        return representations.divergences(self.head, self.states[domain][i], forward.head(model), states)


def load(model, adapter, base: dict, documents: dict, batch_tokens: int, files: dict | None = None):
    """(the network of a checkpoint, what the base model made of the documents: None where it is the base).

    model, adapter: folders, the latter of a stage or None; documents: domain -> list; files: domain -> the
    file that has what the base model made of them, or will have.
    """
    network = adapters.load_checkpoint(model, None, base)
    if not adapter:
        return network, None
    head = representations.head(network)
    states = {}
    for domain, own in documents.items():
        states[domain] = _once((files or {}).get(domain), given, network, own, batch_tokens)
    base_outputs = BaseOutputs(head, states)
    if not adapters.is_whole(adapter):
        return adapters.with_adapter(network, adapter), base_outputs
    del network  # two whole models might not fit
    gc.collect()
    return adapters.load_checkpoint(model, adapter, base), base_outputs


def given(model, documents, batch_tokens: int) -> list:
    """What the head is given where a completion token follows: a tensor [C, H] a document, on the CPU."""
    result, device = [None] * len(documents), next(model.parameters()).device
    with torch.inference_mode():
        for batch in sorted_batches([len(document.ids) for document in documents], batch_tokens):
            states, wanted = scoring.completion_states(
                model, to_device(collate([documents[i] for i in batch]), device)
            )
            for i, part in zip(batch, states.split(wanted.sum(dim=1).tolist()), strict=True):
                result[i] = part.cpu()
    return result


def _once(path, make, *arguments) -> list:
    """The tensors in a file, or those that ``make`` makes, which are then put there."""
    if path is None:
        return make(*arguments)
    result = cache.load(path, _read, damaged=(SafetensorError,))
    if result is None:
        result = make(*arguments)
        cache.store(path, _write, result)
    return result


def _read(path) -> list:
    result = load_file(path)
    return [result[str(i)] for i in range(len(result))]


def _write(path, tensors: list) -> None:
    save_file({str(i): states.contiguous() for i, states in enumerate(tensors)}, path)
