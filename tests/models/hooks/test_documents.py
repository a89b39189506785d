"""Packed documents: none sees another."""

import numpy as np
import pytest
import torch
from networks import LENGTHS, documents, network

from implicit_sparsity import errors
from implicit_sparsity.models import batching, forward
from implicit_sparsity.models.hooks.documents import separate_documents


def packed_hidden(model, given):
    with torch.no_grad():
        return forward.hidden_states(model, **forward.inputs(batching.pack(given)))[0]


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_packed_documents_do_not_see_each_other(float64, kind):
    """Packed and unpacked logits agree, for each document alone, whatever stands before it."""
    model, given = network(kind), documents()
    with separate_documents(model):
        together = packed_hidden(model, given).split(LENGTHS)
        for document, seen in zip(given, together, strict=True):
            ids = torch.from_numpy(document.ids.astype(np.int64))[None]
            with torch.no_grad():
                alone = model(input_ids=ids).logits[0]
                torch.testing.assert_close(forward.head(model)(seen), alone, atol=1e-8, rtol=0)
        other = documents((7, 70), seed=1) + given[2:]
        again = packed_hidden(model, other).split(LENGTHS)
        torch.testing.assert_close(again[2], together[2], atol=1e-8, rtol=0)
    if kind != "llama":  # the guard is needed: without it the recurrent state leaks across the border
        leaking = packed_hidden(model, given).split(LENGTHS)
        assert (leaking[1] - together[1]).abs().max() > 0.1


def test_packing_refuses_a_layer_whose_state_it_cannot_reset():
    model = network("dense")
    del model.model.layers[0].linear_attn
    with pytest.raises(errors.InputError, match=r"training\.packing"), separate_documents(model):
        pass
