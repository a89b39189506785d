"""Teaching a few documents: losses of content, counts on the way, and trainings that were cut off."""

import networks
import numpy as np
import pytest
import torch
import workers

from implicit_sparsity.corpora.tokens import CONTENT, Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.passes import relearning
from implicit_sparsity.passes.fresh_adapter import FreshAdapter
from implicit_sparsity.training.audit import StageFailed

OPTIONS = {"batch_size": 2, "learning_rate": 0.02, "gradient_checkpointing": False}
COUNTS = (4, 12)


class Taught:
    """Teaches the first documents of code to a fresh adapter on the network, counts what it trains on."""

    def __init__(self, nano, kind="llama", killed_after=None):
        model, tokens = nano(kind)
        shards = Tokens(tokens["code"])
        self.documents, self.scored = list(shards.split("train")), list(shards.split("eval"))[:12]
        network, self.trained, self.steps, self.last = loading.load(model), 0, 0, killed_after
        self.adapter = FreshAdapter(network, 4, "test")
        network.get_input_embeddings().register_forward_hook(self.count)

    def count(self, module, given, result):
        if not torch.is_inference_mode_enabled():
            self.steps += 1
            self.trained += given[0].shape[0]
            if self.last is not None and self.steps > self.last:
                raise KeyboardInterrupt

    def score(self, model):
        return relearning.content_losses(model, self.scored, 200)

    def teach(self, scratch, counts=COUNTS):
        return relearning.teach(self.adapter, self.documents, counts, OPTIONS, scratch, self.score)


@pytest.fixture(scope="module")
def whole(nano, tmp_path_factory):
    """{count: losses} of a training that nothing cut off."""
    taught = Taught(nano)
    before = taught.score(taught.adapter.model.eval())
    result = taught.teach(tmp_path_factory.mktemp("whole"))
    assert taught.trained == 12 and result[12].mean() < result[4].mean() < before.mean()
    return result


def assert_same(result, whole, rtol):
    assert result.keys() == whole.keys()
    for count, losses in whole.items():
        np.testing.assert_allclose(result[count], losses, rtol=rtol)


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_losses_are_those_of_content_tokens_one_document_at_a_time(nano, kind):
    network = loading.load(nano(kind)[0])
    documents = list(Tokens(nano(kind)[1]["code"]).split("eval"))[:12]
    bare = networks.document([5, 6, 7], 2)  # its one token is the first of its completion
    losses = relearning.content_losses(network, [*documents, bare], 200)
    for document, loss in zip(documents, losses, strict=False):
        nats = networks.token_nats(network, document.ids).numpy()
        assert loss == pytest.approx(nats[document.parts == CONTENT].mean(), rel=1e-5)
    assert losses.dtype == np.float64 and len(losses) == 13 and np.isnan(losses[12])
    network.model.norm.weight.data[3] = float("nan")
    with pytest.raises(InputError, match="the loss of a document is not finite"):
        relearning.content_losses(network, documents, 200)


def test_fewer_documents_are_the_beginning_of_more(nano, whole, tmp_path):
    taught = Taught(nano)
    (losses,) = taught.teach(tmp_path, (4,)).values()
    np.testing.assert_allclose(losses, whole[4], rtol=1e-5)
    assert taught.trained == 4


@pytest.mark.parametrize("after", [1, 4, 5])  # of six steps
def test_a_killed_training_is_done_again_and_what_was_finished_is_not(nano, whole, tmp_path, after):
    with pytest.raises(KeyboardInterrupt):
        Taught(nano, killed_after=after).teach(tmp_path)
    again = Taught(nano)
    assert_same(again.teach(tmp_path), whole, 1e-5)
    assert again.trained == 12
    finished = Taught(nano)
    assert_same(finished.teach(tmp_path), whole, 1e-5)
    assert finished.trained == 0


def test_a_training_that_was_asked_to_stop_goes_on_where_it_stopped(nano, whole, tmp_path, monkeypatch):
    """SIGTERM in the third step of six: the scores after two are noted, the other three steps follow."""
    stopped = Taught(nano)
    with monkeypatch.context() as patch:
        workers.sigterm_at(relearning.Observed, 3, patch)
        with pytest.raises(StageFailed, match="stopped at step 3 of 6"):
            stopped.teach(tmp_path)
    assert (tmp_path / "4.npy").is_file() and not (tmp_path / "12.npy").exists()
    again = Taught(nano)
    assert_same(again.teach(tmp_path), whole, 1e-4)
    assert (stopped.trained, again.trained) == (6, 6)
