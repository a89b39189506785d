"""Gradients of both halves, as many documents as planned, each half's own."""

import numpy as np
import pytest

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.options import load


def test_documents_without_content_are_not_taken(nano, tmp_path):
    """Of three documents one has but a first and a stop token: two have content, three a completion."""
    import networks

    model, _ = nano("llama")
    folder = networks.make_tokens(tmp_path / "short", model, "math", documents=3, shortest=True)
    subject = Subject(str(model), {}, "base", {"math": Tokens(folder)}, "math")
    subject.progress = lambda what: iter
    chosen = {"documents": 3, "rank": 4, "dim": 32}
    arrays, coords = load("measurements", "gradients", tokens="completion", **chosen).measure(subject)
    assert "probe_a-0" in coords["document_id"][1][0] and "completion" in arrays["loss"][2]["long_name"]
    with pytest.raises(InputError, match="a probe half holds 2 documents with content tokens, 3 are wanted"):
        load("measurements", "gradients", **chosen).measure(subject)
    two = load("measurements", "gradients", **chosen | {"documents": 2}).measure(subject)[1]
    assert two["document_id"][1][0].tolist() == ["probe_a-1", "probe_a-2"]


@pytest.mark.parametrize("again", [False, True])
def test_both_halves_are_measured_as_planned(nano, again):
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
