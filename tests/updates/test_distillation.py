"""Divergence from a teacher, by formula."""

import numpy as np
import pytest
import torch
from networks import network

from implicit_sparsity.models import losses
from implicit_sparsity.updates import distillation

WIDTH = 32


def plain():
    """A network whose last hidden states are its logits."""
    model = network("llama", vocab_size=WIDTH, hidden_size=WIDTH, tie_word_embeddings=False)
    torch.nn.init.eye_(model.lm_head.weight)
    return model


def by_hand(student, teacher, temperature):
    p, q = (
        np.exp(z / temperature) / np.exp(z / temperature).sum(-1, keepdims=True) for z in (teacher, student)
    )
    return temperature**2 * (p * np.log(p / q)).sum(-1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 7.5])
def test_divergence_is_the_formula(temperature, monkeypatch):
    """In one piece and in chunks of two positions, with the gradient T (q - p) of KL under T."""
    random = np.random.default_rng(0)
    z, other = random.standard_normal((2, 7, WIDTH))
    model, teacher = plain(), torch.tensor(other, dtype=torch.float32)
    for size in (2**27, 2 * 2 * WIDTH):
        monkeypatch.setattr(losses, "LOGITS_AT_ONCE", size)
        student = torch.tensor(z, dtype=torch.float32, requires_grad=True)
        result = distillation.divergence(model, student, teacher, temperature)
        np.testing.assert_allclose(result.detach(), by_hand(z, other, temperature), rtol=1e-4, atol=1e-6)
        result.sum().backward()
        difference = (student.detach() / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
        torch.testing.assert_close(student.grad, temperature * difference, rtol=1e-4, atol=1e-6)


def test_divergence_of_hot_distributions_is_the_distance_of_logits():
    """For large T: half the variance, over words, of the logits' difference (Hinton et al., sec. 2.1)."""
    z, other = np.random.default_rng(1).standard_normal((2, 4, WIDTH))
    given = [torch.tensor(x, dtype=torch.float32) for x in (z, other)]
    result = distillation.divergence(plain().double(), *(x.double() for x in given), 100.0)
    np.testing.assert_allclose(result.detach(), (z - other).var(-1) / 2, rtol=0.05)
    assert distillation.divergence(plain(), given[0], given[0], 2.0).abs().max() == 0
