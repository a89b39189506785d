"""Losses over content, completion and all tokens: those of each token alone, and the right ones counted."""

import networks
import numpy as np
import pytest

from implicit_sparsity.corpora.tokens import Document, Tokens
from implicit_sparsity.models import loading
from implicit_sparsity.passes import token_losses

INDEX = {"special_ids": [1, 2], "template_tokens": {"before": 2, "between": 3, "after": 1}}


def test_what_each_choice_counts():
    #         template | prompt   | template  | completion      | stop
    ids = np.array([1, 9, 20, 21, 22, 2, 1, 9, 30, 31, 32, 33, 34, 2])
    document = Document(ids, np.arange(14) < 8, {"stop": 1})
    content, completion, text = token_losses.counted(document, INDEX)
    assert np.flatnonzero(content).tolist() == [9, 10, 11, 12]
    assert np.flatnonzero(completion).tolist() == [8, 9, 10, 11, 12, 13]
    assert np.flatnonzero(text).tolist() == [2, 3, 4, 8, 9, 10, 11, 12]
    assert token_losses.has_content(document)


def test_bare_text_counts_all_but_its_first_token():
    document = Document(np.arange(30, 36), np.zeros(6, bool), {})
    bare = INDEX | {"template_tokens": {"before": 0, "between": 0, "after": 0}}
    counted = token_losses.counted(document, bare)
    assert not counted[:, 0].any() and counted[:, 1:].all()
    assert not token_losses.has_content(Document(np.arange(30, 33), np.arange(3) < 2, {}))


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_losses_are_means_of_single_tokens_whatever_the_batch(nano, kind):
    folder, tokens = nano(kind)
    shards, model = Tokens(tokens["code"]), loading.load(folder)
    split = shards.split("probe_b")
    documents = [split[i] for i in range(6)]
    made = token_losses.batches(documents, shards.index, 64, "cpu")
    assert len(made) > 1
    tokens_seen = []
    result = token_losses.losses(model, made, lambda keep: tokens_seen.append(int(keep.sum())))
    assert sum(tokens_seen) == sum(len(document.ids) for document in documents)
    for i, document in enumerate(documents):
        nats = networks.token_nats(model, document.ids).numpy()
        expected = [nats[which].mean() for which in token_losses.counted(document, shards.index)]
        np.testing.assert_allclose(result[:, i], expected, rtol=1e-4)
