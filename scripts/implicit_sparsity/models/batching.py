"""Documents into batches: padded to the longest of like length, or packed end to end.

Padding goes to the right: attention and Gated DeltaNet are causal, so what follows a document cannot reach
it. Packed documents do not see each other either: positions that start again tell attention, Gated
DeltaNet by ``hooks.documents.separate_documents``. Shapes: B documents, S positions of the longest, T of all.
"""

import numpy as np
import torch

PAD = 0  # any id: padded positions are masked


def sorted_batches(lengths, batch_tokens: int) -> list[list[int]]:
    """Indices of documents, longest first, in batches of at most ``batch_tokens`` padded positions (one at
    least)."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches, current = [], []
    for i in order:
        if current and lengths[current[0]] * (len(current) + 1) > batch_tokens:
            batches.append(current)
            current = []
        current.append(i)
    return batches + [current] if current else batches


def training_batches(lengths, steps: int, batch_size: int, seed: int) -> list[list[int]]:
    """``steps`` batches of ``batch_size`` document indices.

    Documents are drawn in shuffled passes. Those of a pass are sorted by length, cut into batches, and the
    batches shuffled: no document comes twice in a batch, nor again before the pass is over. Up to
    ``batch_size - 1`` documents, others each time, sit a pass out, so that every batch is full.
    """
    random = np.random.default_rng(seed)
    batches: list[list[int]] = []
    while len(batches) < steps:
        drawn = random.permutation(len(lengths)).tolist()
        while len(drawn) < batch_size:  # fewer documents than one batch takes
            drawn += random.permutation(len(lengths)).tolist()
        count = min(len(drawn) // batch_size, steps - len(batches))
        drawn = sorted(drawn[: count * batch_size], key=lambda i: (lengths[i], i))
        cut = [drawn[i : i + batch_size] for i in range(0, len(drawn), batch_size)]
        batches += [cut[i] for i in random.permutation(count)]
    return batches


def collate(documents) -> dict:
    """Documents with ``ids`` [T] and ``prompt`` [T] -> input_ids, attention_mask, labels, each int64 [B, S].

    ``labels[b, s]`` is the token *after* position s where that token belongs to the completion, and -100
    elsewhere.
    """
    longest = max(len(document.ids) for document in documents)
    ids = np.full((len(documents), longest), PAD, np.int64)
    mask = np.zeros_like(ids)
    labels = np.full_like(ids, -100)
    for row, document in enumerate(documents):
        n = len(document.ids)
        ids[row, :n] = document.ids
        mask[row, :n] = 1
        labels[row, : n - 1] = np.where(document.prompt[1:], -100, ids[row, 1:n])
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }


def pack(documents) -> dict:
    """The same documents end to end, nothing padded: input_ids, position_ids, labels int64 [1, T], and
    ``lengths``, a list of B numbers that add up to T."""
    rows = [collate([document]) for document in documents]
    lengths = [row["input_ids"].shape[1] for row in rows]
    joined = {name: torch.cat([row[name] for row in rows], 1) for name in ("input_ids", "labels")}
    return joined | {
        "position_ids": torch.cat([torch.arange(n) for n in lengths]).unsqueeze(0),
        "lengths": lengths,
    }


def label_parts(documents) -> np.ndarray:
    """What each labelled token is, uint8 [N] of ``corpora.tokens``' CONTENT, FIRST and STOP: in the order of
    the labels of ``collate`` and of ``pack``, which is that of ``losses.completion_nats``."""
    parts = [document.parts[1:][~document.prompt[1:]] for document in documents]
    return np.concatenate([np.empty(0, np.uint8), *parts])


def tokens(batch: dict) -> int:
    """Tokens of a batch, padding not counted."""
    return sum(batch["lengths"]) if "lengths" in batch else int(batch["attention_mask"].sum())


def completion_tokens(document) -> int:
    """Tokens of a document that its loss counts: those ``collate`` gives labels."""
    return int((~document.prompt[1:]).sum())


def to_device(batch: dict, device) -> dict:
    """The batch with its tensors on ``device``."""
    return {
        name: value.to(device, non_blocking=True) if hasattr(value, "to") else value
        for name, value in batch.items()
    }
