"""Losses of single documents over more than one choice of their tokens, all from one forward pass.

``content``: the completion without its first token and its stop tokens; ``completion``: all of it; ``all``:
prompt and completion, without special tokens and the template's. Shapes: D documents, T tokens of one, N
scored tokens of a batch.
"""

from dataclasses import dataclass

import numpy as np
import torch

from implicit_sparsity.corpora.tokens import CONTENT, STOP
from implicit_sparsity.models.batching import collate, sorted_batches, to_device
from implicit_sparsity.models.losses import completion_nats

TOKENS = ("content", "completion", "all")


def counted(document, index: dict) -> np.ndarray:
    """Which tokens count, bool [3, T] in the order of ``TOKENS``; index: that of the document's token shards.

    The first token of a document is not predicted and never counts. Where a long prompt was cut, the template
    is still whole.
    """
    ids, parts = np.asarray(document.ids), document.parts
    place, special = np.arange(len(ids)), np.asarray(sorted(index["special_ids"]), np.int64)
    template = index["template_tokens"]
    text = (place >= template["before"]) & ~np.isin(ids, special) & (parts != STOP)
    prompt = int(document.prompt.sum())
    text &= (place < prompt - template["between"]) | (place >= prompt)
    result = np.stack([parts == CONTENT, ~document.prompt, text])
    result[:, 0] = False
    return result


def has_content(document) -> bool:
    """Whether there is a token that ``content`` counts."""
    return bool((document.parts[1:] == CONTENT).any())


@dataclass
class Batch:
    """``documents``: their numbers; ``tensors``: with labels where any choice counts; ``counts`` bool [3, N]:
    which of these labels each choice counts, in the order of ``completion_nats``."""

    documents: list
    tensors: dict
    counts: np.ndarray


def batches(documents, index: dict, batch_tokens: int, device) -> list[Batch]:
    """The documents in batches of like length, on ``device``."""
    result = []
    for numbers in sorted_batches([len(document.ids) for document in documents], batch_tokens):
        here = [documents[i] for i in numbers]
        tensors, counts = collate(here), [counted(document, index)[:, 1:] for document in here]
        tensors["labels"] = torch.full_like(tensors["input_ids"], -100)
        for row, (document, which) in enumerate(zip(here, counts)):
            wanted = np.where(which.any(axis=0), document.ids[1:].astype(np.int64), -100)
            tensors["labels"][row, : len(wanted)] = torch.from_numpy(wanted)
        flat = np.concatenate([which[:, which.any(axis=0)] for which in counts], axis=1)
        result.append(Batch(numbers, to_device(tensors, device), flat))
    return result


def losses(model, made: list[Batch], begin=lambda keep: None) -> np.ndarray:
    """Mean nats of the tokens that count, [3, D]; ``begin`` is called before each batch with a bool of each
    flat position, True where it holds a token."""
    result = np.zeros((len(TOKENS), sum(len(batch.documents) for batch in made)))
    with torch.inference_mode():
        for batch in made:
            begin(batch.tensors["attention_mask"].flatten().bool())
            nats, row = (x.cpu().numpy() for x in completion_nats(model, batch.tensors))
            for k, which in enumerate(batch.counts):
                size = len(batch.documents)
                sums = np.bincount(row[which], nats[which].astype(np.float64), size)
                result[k, batch.documents] = sums / np.bincount(row[which], minlength=size)
    return result
