"""The loss in pieces is that of whole logits."""

import copy

import pytest
import torch
from networks import documents, network

from implicit_sparsity.models import batching, losses


def test_chunked_logits_give_the_same_loss_and_gradients(float64, monkeypatch):
    model, batch = network("llama", tie_word_embeddings=False), batching.collate(documents())
    result = {}
    for size in (2**27, 10 * 320):  # one chunk; ten positions a chunk
        monkeypatch.setattr(losses, "LOGITS_AT_ONCE", size)
        here = copy.deepcopy(model).requires_grad_(True)
        widest = []
        here.lm_head.register_forward_hook(lambda _, args, out, widest=widest: widest.append(len(out)))
        loss = losses.completion_loss(here, batch)
        loss.backward()
        result[size] = (loss.item(), {n: p.grad for n, p in here.named_parameters()})
        wanted = int((batch["labels"] != -100).sum())
        assert max(widest) == min(wanted, size // 320)
    (one, whole), (two, chunked) = result.values()
    assert one == pytest.approx(two, abs=1e-10)
    for name, gradient in whole.items():
        torch.testing.assert_close(chunked[name], gradient, atol=1e-8, rtol=0, msg=name)
