"""Score a network on documents: loss by part of the completion, multiple choice by log-likelihood, exact
match of generated answers.

Shapes: n documents, B of a batch, S positions, N completion tokens of a batch, H hidden width.
"""

import numpy as np
import torch

from implicit_sparsity.corpora.tokens import Document
from implicit_sparsity.models import batching, forward
from implicit_sparsity.models.batching import PAD, collate, sorted_batches, to_device
from implicit_sparsity.models.losses import token_nats

from . import number_forms
from .ending import Ending


def part_nats(model, documents, batch_tokens: int, progress=iter, see=None) -> tuple:
    """(nats of each document's completion tokens, how many these are), both float64 [n, 4]: added up by part,
    a column for each of ``corpora.tokens``' constants. All parts come from one pass.

    The head runs on completion positions alone. ``see(i, states)`` is given what the head is given for
    document i, [completion tokens, H].
    """
    nats, counts = (np.zeros((len(documents), 4)) for _ in range(2))
    device = next(model.parameters()).device
    with torch.inference_mode():
        for batch in progress(sorted_batches([len(document.ids) for document in documents], batch_tokens)):
            here = [documents[i] for i in batch]
            tensors = to_device(collate(here), device)
            states, wanted = completion_states(model, tensors)
            single = token_nats(model, states, tensors["labels"].to(states.device)[wanted])
            lengths = wanted.sum(dim=1).tolist()
            place = 4 * np.repeat(np.arange(len(batch)), lengths) + batching.label_parts(here)
            sums = single.double().cpu().numpy()
            nats[batch] = np.bincount(place, sums, 4 * len(batch)).reshape(-1, 4)
            counts[batch] = np.bincount(place, minlength=4 * len(batch)).reshape(-1, 4)
            if see:
                for i, part in zip(batch, states.split(lengths), strict=True):
                    see(i, part)
    return nats, counts


def completion_states(model, batch):
    """(inputs of the head where a completion token follows [N, H], where that is [B, S])."""
    hidden = forward.hidden_states(model, **forward.inputs(batch))
    wanted = batch["labels"].to(hidden.device) != -100
    return hidden[wanted], wanted


def choice_documents(document) -> list[Document]:
    """The document's prompt with each of its choices; the document itself for the choice that it ends in.

    A choice has no stop token, so FIRST and CONTENT are what of the document is compared with the others.
    """
    prompt = document.ids[: _completion_start(document)]
    own = document.ids[len(prompt) : len(document.ids) - document.meta.get("stop", 0)]
    return [
        document if np.array_equal(choice, own) else _document(prompt, choice)
        for choice in document.meta["choices"]
    ]


def _document(prompt, completion) -> Document:
    ids = np.concatenate([prompt, np.asarray(completion)]).astype(np.uint32)
    return Document(ids, np.arange(len(ids)) < len(prompt), {})


def _completion_start(document) -> int:
    """Position of the first completion token."""
    return int(np.argmin(document.prompt)) if not document.prompt.all() else len(document.prompt)


def new_tokens(max_new_tokens: int, stop) -> int:
    """How many tokens are generated at most: an end of several tokens takes no more of ``max_new_tokens``
    than one."""
    return max_new_tokens + (len(stop.ids) - 1 if isinstance(stop, Ending) else 0)


def generate(model, documents, max_new_tokens: int, stop: int | Ending | None) -> list[tuple]:
    """Greedy continuations of the documents' prompts: (ids before ``stop``, whether it never came), of each.

    ``stop``: a token, or an end of several, all of which have to stand there.
    """
    prompts = [document.ids[: _completion_start(document)] for document in documents]
    longest = max(len(prompt) for prompt in prompts)
    ids, mask = (np.zeros((len(prompts), longest), np.int64) for _ in range(2))
    for row, prompt in enumerate(prompts):  # generation goes on at the right, so padding is at the left
        ids[row], mask[row] = PAD, 0
        ids[row, longest - len(prompt) :], mask[row, longest - len(prompt) :] = prompt, 1
    several = isinstance(stop, Ending)
    settings = forward.greedy(new_tokens(max_new_tokens, stop), None if several else stop, PAD)
    criteria = [stop.reached(longest)] if several else []
    ids, mask = (torch.from_numpy(x).to(next(model.parameters()).device) for x in (ids, mask))
    with torch.inference_mode():
        tokens = forward.generate(model, ids, mask, settings, criteria)
    result = []
    for row in tokens[:, longest:].cpu().numpy():
        if several:
            result.append(stop.cut(row))
            continue
        ends = np.flatnonzero(row == stop) if stop is not None else []
        result.append((row[: ends[0]], False) if len(ends) else (row, True))
    return result


def extract_number(text: str, strict: bool = True) -> str | None:
    """The answer in a worked solution: the number after the last ``####``; not ``strict``: the last number
    there is. None where what stands there is no number (``18,5``)."""
    return number_forms.last(text, marked=strict)


def same_number(a: str | None, b: str) -> bool:
    """Whether two answers are numbers of exactly the same value, however they are written."""
    value = number_forms.value(a) if a is not None else None
    return value is not None and value == number_forms.value(b)


def match(text: str, cut: bool, answer: str) -> dict[str, int]:
    """Scores of one generated answer; one that was cut is not parsed, for its last number may be half a
    number."""
    strict, flexible = (None if cut else extract_number(text, strict) for strict in (True, False))
    return {
        "exact_match": int(same_number(strict, answer)),
        "exact_match_flexible": int(same_number(flexible, answer)),
        "format_failure": int(strict is None and not cut),
        "answer_cut": int(cut),
    }


def is_number(text) -> bool:
    return isinstance(text, str) and number_forms.value(text) is not None
