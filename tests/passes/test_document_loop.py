"""The loop over documents: what is announced before a batch is what the network then sees."""

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.models.hooks.watching import module_inputs
from implicit_sparsity.passes.document_loop import over_documents

LENGTHS = (4, 9, 2, 9)


@pytest.fixture(scope="module")
def llama():
    return networks.network("llama")


def run(model, lengths=LENGTHS, batch_tokens=18, **more):
    """(padded positions, what was announced of each batch, what its first layer then read [B, S, H])."""
    documents = [np.arange(n, dtype=np.uint32) + 10 * i + 3 for i, n in enumerate(lengths)]
    keeps = [np.arange(n) % 3 == 1 for n in lengths]
    announced, read = [], []

    def begin(keep, group, count):
        assert len(announced) == len(read), "each batch is announced before it runs"
        announced.append((keep, group, count))

    with module_inputs({"first": model.model.layers[0]}, lambda name, x: read.append(x.clone())):
        padding = over_documents(model, documents, keeps, batch_tokens, begin, **more)
    return padding, announced, read


def test_long_documents_go_first_and_short_ones_are_padded(llama):
    padding, announced, read = run(llama)
    assert [tuple(x.shape[:2]) for x in read] == [(2, 9), (2, 4)]
    assert [count for *_, count in announced] == [2, 2] and padding == 2
    assert run(llama, batch_tokens=1)[0] == 0, "a document that is longer than a batch runs alone"


def test_rows_that_count_are_those_of_the_tokens_that_count(llama):
    """Documents 1, 3 and then 0, 2: in each, the tokens at places 1, 4 and 7."""
    _, announced, read = run(llama)
    ids = [[14, 17, 20, 34, 37, 40], [4, 24]]
    for (keep, *_), states, expected in zip(announced, read, ids, strict=True):
        assert keep.dtype == torch.bool and keep.shape == (states.shape[0] * states.shape[1],)
        seen = states.flatten(0, 1)[keep]
        assert torch.equal(seen, llama.model.embed_tokens.weight[expected])


def test_a_row_has_its_documents_group_and_none_where_there_are_none(llama):
    _, announced, _ = run(llama, groups=[5, 6, 7, 8])
    assert announced[0][1].tolist() == [6] * 9 + [8] * 9
    assert announced[1][1].tolist() == [5] * 4 + [7] * 4
    assert [group for _, group, _ in run(llama)[1]] == [None, None]


def test_padding_changes_no_state_of_a_document(llama):
    last = {}
    for batch_tokens in (18, 1):
        states = []
        with module_inputs({"norm": llama.model.norm}, lambda name, x, states=states: states.extend(x)):
            run(llama, batch_tokens=batch_tokens)
        last[batch_tokens] = [x[:n] for x, n in zip(states, (9, 9, 4, 2), strict=True)]
    for together, alone in zip(last[18], last[1], strict=True):
        assert together.numpy() == pytest.approx(alone.numpy(), rel=1e-4, abs=1e-4)


def test_every_batch_is_gone_through_by_who_watches(llama):
    batches = []
    run(llama, progress=lambda items: [batches.append(item) or item for item in items])
    assert batches == [[1, 3], [0, 2]]


def test_without_documents_nothing_runs(llama):
    assert run(llama, lengths=()) == (0, [], [])
