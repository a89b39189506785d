"""Batches and their tensors."""

from types import SimpleNamespace

import families
import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.corpora.tokens import CONTENT, FIRST, STOP, Document
from implicit_sparsity.models import batching, forward
from implicit_sparsity.storage import model_folder


def test_sorted_batches_hold_every_document_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 90, 200).tolist()
    batches = batching.sorted_batches(lengths, 256)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 256
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True), "the first batch is the one that may not fit"
    assert batching.sorted_batches([], 10) == []


def test_training_batches_go_through_the_documents_pass_by_pass():
    lengths = list(range(1, 42))  # 41: one sits each pass of 10 batches out
    batches = batching.training_batches(lengths, steps=25, batch_size=4, seed=1)
    assert [len(batch) for batch in batches] == [4] * 25
    for start in (0, 10, 20):
        seen = [i for batch in batches[start : start + 10] for i in batch]
        assert len(set(seen)) == len(seen), "no document twice in a pass, so never twice in a batch"
    assert len({i for batch in batches[:20] for i in batch}) >= 40
    assert batches == batching.training_batches(lengths, 25, 4, seed=1)
    assert batches != batching.training_batches(lengths, 25, 4, seed=2)
    spread = [max(b) - min(b) for b in batches[:20]]
    assert max(spread) <= 5, "documents of like length stand together"


def test_parts_stand_beside_the_labels_padded_or_packed():
    """A document cut off before its stop token, one that has it, one of bare text, one without completion."""
    ids = np.arange(10, 16, dtype=np.uint32)
    documents = [
        Document(ids, np.arange(6) < 2, {"stop": 0}),
        Document(ids[:4], np.arange(4) < 1, {"stop": 1}),
        Document(ids[:3], np.zeros(3, bool), {}),  # nothing predicts its first token
        Document(ids[:2], np.ones(2, bool), {}),
    ]
    parts = batching.label_parts(documents)
    assert parts.dtype == np.uint8
    assert parts.tolist() == [FIRST, CONTENT, CONTENT, CONTENT, FIRST, CONTENT, STOP, CONTENT, CONTENT]
    for lay_out in (batching.collate, batching.pack):
        labels = lay_out(documents)["labels"]
        assert labels[labels != -100].tolist() == [12, 13, 14, 15, 11, 12, 13, 11, 12]
    assert batching.label_parts([]).tolist() == []


def test_fewer_documents_than_a_batch_takes_come_twice_in_it():
    batches = batching.training_batches([5, 6, 7], steps=2, batch_size=4, seed=0)
    assert [len(batch) for batch in batches] == [4, 4] and {i for b in batches for i in b} == {0, 1, 2}


def test_labels_are_the_next_completion_token():
    documents = [
        SimpleNamespace(ids=np.array([5, 6, 7, 8], np.uint32), prompt=np.array([True, True, False, False])),
        SimpleNamespace(ids=np.array([9, 4], np.uint32), prompt=np.array([True, False])),
    ]
    batch = batching.collate(documents)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 7, 8, -100], [4, -100, -100, -100]]


DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
    "original_max_position_embeddings": 20,
}


@pytest.mark.parametrize(
    ("name", "rope", "more"),
    [
        ("llama", DYNAMIC, {"max_position_embeddings": 20}),
        ("phi3", LONGROPE, {"max_position_embeddings": 64}),
    ],
)
def test_up_to_the_limit_a_document_does_not_depend_on_its_batch(name, rope, more):
    """Of rotary scalings whose frequencies change with the longest document; one token beyond, it does."""
    more = more | ({"original_max_position_embeddings": 20} if name == "phi3" else {})
    network = families.network(name, rope_parameters=rope, **more)
    assert model_folder.positions(network.config.to_dict()) == 20

    def states(documents, batch):
        return forward.hidden_states(network, **forward.inputs(batch(documents)))

    for longest in (20, 21):
        documents = networks.documents((7, longest))
        alone = states(documents[:1], batching.collate)[0]
        padded = states(documents, batching.collate)[0, :7]
        packed = states(documents, batching.pack)[0, :7]
        for together in (padded, packed):
            assert torch.allclose(together, alone, atol=1e-4) == (longest <= 20)
