"""Score a network on documents: completion loss, multiple choice by log-likelihood, exact match of generated
answers.

Shapes: B documents, S positions, V vocabulary. Log-likelihoods are in nats, summed over completion tokens.
"""

import re
from dataclasses import dataclass

import numpy as np
import torch

from implicit_sparsity.models import forward
from implicit_sparsity.models.batching import PAD, collate, sorted_batches, to_device
from implicit_sparsity.models.losses import token_nats

NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"


@dataclass(frozen=True)
class Sequence:
    """Tokens [T] and which of them are prompt [T]."""

    ids: np.ndarray
    prompt: np.ndarray

    @classmethod
    def of(cls, prompt_ids, completion_ids):
        ids = np.concatenate([np.asarray(prompt_ids), np.asarray(completion_ids)]).astype(np.uint32)
        return cls(ids, np.arange(len(ids)) < len(prompt_ids))

    @property
    def key(self) -> bytes:
        return self.ids.tobytes() + self.prompt.tobytes()


def log_likelihoods(model, sequences, batch_tokens: int, progress=iter, see=None) -> np.ndarray:
    """Log-likelihood of each sequence's completion given its prompt, and its length: float64 [n, 2].

    The head runs on completion positions alone. A sequence that comes twice (a right choice is often the
    document's own completion) is computed once. ``see(i, states)`` is given what the head is given for
    sequence i, [completion tokens, H].
    """
    places: dict = {}
    for i, sequence in enumerate(sequences):
        places.setdefault(sequence.key, []).append(i)
    unique = [sequences[where[0]] for where in places.values()]
    result, device = np.zeros((len(sequences), 2)), next(model.parameters()).device
    with torch.inference_mode():
        for batch in progress(sorted_batches([len(s.ids) for s in unique], batch_tokens)):
            tensors = to_device(collate([unique[i] for i in batch]), device)
            states, wanted = completion_states(model, tensors)
            nats = token_nats(model, states, tensors["labels"].to(states.device)[wanted])
            rows = wanted.nonzero()[:, 0].to(nats.device)
            sums = torch.zeros(len(batch), dtype=torch.float64, device=nats.device)
            sums = sums.index_add_(0, rows, -nats.double()).tolist()
            lengths = wanted.sum(dim=1).tolist()
            for i, total, length, part in zip(batch, sums, lengths, states.split(lengths), strict=True):
                for place in places[unique[i].key]:
                    result[place] = total, length
                    if see:
                        see(place, part)
    return result


def completion_states(model, batch):
    """(inputs of the head where a completion token follows [N, H], where that is [B, S])."""
    hidden = forward.hidden_states(model, **forward.inputs(batch))
    wanted = batch["labels"].to(hidden.device) != -100
    return hidden[wanted], wanted


def choice_sequences(document) -> list[Sequence]:
    """The document's prompt with each of its choices."""
    prompt = document.ids[: _completion_start(document)]
    return [Sequence.of(prompt, choice) for choice in document.meta["choices"]]


def _completion_start(document) -> int:
    """Position of the first completion token."""
    return int(np.argmin(document.prompt)) if not document.prompt.all() else len(document.prompt)


def generate(model, documents, max_new_tokens: int, stop: int | None) -> list[np.ndarray]:
    """Greedy continuations of the documents' prompts, cut before the token ``stop``."""
    prompts = [document.ids[: _completion_start(document)] for document in documents]
    longest = max(len(prompt) for prompt in prompts)
    ids, mask = (np.zeros((len(prompts), longest), np.int64) for _ in range(2))
    for row, prompt in enumerate(prompts):  # generation goes on at the right, so padding is at the left
        ids[row], mask[row] = PAD, 0
        ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
    network, device = forward.base_network(model), next(model.parameters()).device
    with torch.inference_mode():
        tokens = network.generate(
            input_ids=torch.from_numpy(ids).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            generation_config=forward.greedy(max_new_tokens, stop, PAD),
        )
    new = tokens[:, longest:].cpu().numpy()
    return [row[: int(np.argmax(row == stop))] if (row == stop).any() else row for row in new]


def extract_number(text: str, strict: bool = True) -> str | None:
    """The answer in a worked solution: the number after ``####``; not ``strict``: the last number there
    is."""
    numbers = re.findall(rf"####\s*\$?\s*({NUMBER})", text) if strict else re.findall(NUMBER, text)
    return numbers[-1] if numbers else None


def same_number(a: str | None, b: str) -> bool:
    """Whether two answers are the same number, commas and trailing zeros aside."""
    try:
        return a is not None and float(a.replace(",", "")) == float(b.replace(",", "").replace("$", ""))
    except ValueError:
        return False


def is_number(text) -> bool:
    return isinstance(text, str) and re.fullmatch(rf"\$?\s*{NUMBER}", text.strip()) is not None
