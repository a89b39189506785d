"""Batches and their tensors."""

from types import SimpleNamespace

import numpy as np

from implicit_sparsity import batching


def test_sorted_batches_hold_every_document_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 90, 200).tolist()
    batches = batching.sorted_batches(lengths, 256)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 256
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True), "the first batch is the one that may not fit"
    assert batching.sorted_batches([], 10) == []


def test_training_batches_use_every_document_before_any_twice():
    lengths = list(range(1, 11))
    batches = batching.training_batches(lengths, steps=5, batch_size=4, seed=1)
    assert [len(batch) for batch in batches] == [4] * 5
    counts = np.bincount([i for batch in batches for i in batch], minlength=10)
    assert counts.tolist() == [2] * 10
    assert batches == batching.training_batches(lengths, 5, 4, seed=1)
    assert batches != batching.training_batches(lengths, 5, 4, seed=2)
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert max(spread) <= 3, "documents of like length stand together"


def test_labels_are_the_next_completion_token():
    documents = [
        SimpleNamespace(ids=np.array([5, 6, 7, 8], np.uint32), prompt=np.array([True, True, False, False])),
        SimpleNamespace(ids=np.array([9, 4], np.uint32), prompt=np.array([True, False])),
    ]
    batch = batching.collate(documents)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 7, 8, -100], [4, -100, -100, -100]]
