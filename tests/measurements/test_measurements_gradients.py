"""Gradients of both halves, as many documents as planned, each half's own."""

import numpy as np
import pytest

from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.options import load


@pytest.mark.parametrize("again", [False, True])
def test_both_halves_are_measured_as_planned(nano, again):
    from implicit_sparsity.corpora.tokens import Tokens

    model, tokens = nano("llama")
    subject = Subject(str(model), {}, "base", {"math": Tokens(tokens["math"])}, "math")
    reported = []
    subject.progress = lambda what: reported.append(what) or iter
    chosen = {"documents": 3, "rank": 4, "dim": 32, "gradient_checkpointing": again}
    measurement = load("measurements", "gradients", **chosen)
    arrays, coords = measurement.measure(subject)
    losses, ids = arrays["loss"][1], coords["document_id"][1]
    assert reported == ["math a", "math b"] and losses.shape == ids.shape == (2, 3)
    assert ids.tolist() == [[f"probe_{half}-{i}" for i in range(3)] for half in "ab"]
    assert arrays["sketch"][1].shape[-1] == 32 and np.bincount(coords["column"][1]).tolist() == [8] * 4
    (training,) = measurement.passes(1, 50.0, 0)
    assert (training.steps, training.tokens, training.rank) == (losses.size, losses.size * 50.0, 4)
    assert not training.optimizer and training.checkpointing == again
