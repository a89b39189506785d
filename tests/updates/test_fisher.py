"""The diagonal Fisher and its penalty, by formula."""

import pytest
import torch
from test_methods import trained  # noqa: F401 (a fixture)

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import adapters, batching, forward, loading
from implicit_sparsity.options import load
from implicit_sparsity.updates import fisher


def softmax_regression(labels_of, documents=3000):
    """(estimate, formula): F of W in softmax(W x) is p_c (1 - p_c) x_i^2, mean over inputs."""
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, generator=random).requires_grad_()
    inputs = torch.randn(documents, 3, generator=random)
    p = (inputs @ weight.detach().T).softmax(-1)
    known = ((p * (1 - p))[:, :, None] * inputs.square()[:, None, :]).mean(0)

    def scores():
        for x in inputs:
            logits = (weight @ x)[None]
            yield logits.log_softmax(-1)[0, labels_of(logits.detach(), random)].sum(), 1

    return fisher.squared_scores({"W": weight}, scores())["W"], known


def test_fisher_of_a_softmax_regression_is_its_formula():
    result, known = softmax_regression(fisher.draw)
    torch.testing.assert_close(result, known, rtol=0.1, atol=0.01)
    wrong, _ = softmax_regression(lambda logits, _: torch.zeros(1, dtype=torch.int64))  # labels of some data
    assert ((wrong - known).abs() > 0.2 * known).any(), "the empirical Fisher is another thing"


def test_labels_are_drawn_with_the_models_probabilities():
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    drawn = fisher.draw(logits.repeat(40_000, 1), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / 40_000
    torch.testing.assert_close(shares, logits.softmax(-1)[0], atol=0.01, rtol=0)


class Point(torch.nn.Module):
    def __init__(self, theta):
        super().__init__()
        self.theta = torch.nn.Parameter(theta.clone())


def test_two_quadratic_tasks_meet_where_the_formula_says():
    """Task 1: 1/2 h (x - a)^2, so F = h; after task 2, 1/2 g (x - b)^2: (g b + w h a) / (g + w h)."""
    h, a, g, b = torch.tensor([[1.0, 4.0, 0.0], [2, -1, 5], [2, 2, 1], [0, 3, -1]], dtype=torch.float64)
    for weight in (0.5, 3.0):
        method, point = load("methods", "ewc", weight=weight), Point(a)
        method.held = fisher.Penalty({"theta": a}, {"theta": h})
        step = torch.optim.LBFGS(point.parameters(), max_iter=100, tolerance_grad=0, tolerance_change=0)

        def total(step=step, point=point, method=method):
            step.zero_grad()
            loss = method.loss(point, None, 0.5 * (g * (point.theta - b).square()).sum())
            loss.backward()
            return loss

        step.step(total)
        torch.testing.assert_close(point.theta.data, (g * b + weight * h * a) / (g + weight * h))


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_fisher_of_a_network_squares_documents_one_by_one(trained, nano, float64, kind):  # noqa: F811
    """Against plain autograd on whole logits with the same draws; layers computed again give the same."""
    model, tokens = nano(kind)
    network = adapters.add_adapter(loading.load(model), trained(kind, "lora")[0][0], trainable=True).eval()
    split = Tokens(tokens["code"]).split("select")
    documents = [split[i] for i in range(3)]
    result = fisher.diagonal(network, documents, seed=5)
    again = fisher.diagonal(network, documents, seed=5, checkpointing=True)
    assert not network.training and not forward.base_network(network).is_activation_checkpointing
    generator, count, wanted = torch.Generator().manual_seed(5), 0, dict.fromkeys(result, 0.0)
    for document in documents:
        batch = batching.collate([document])
        at = batch["labels"][0] != -100
        logits = forward.base_network(network)(input_ids=batch["input_ids"]).logits[0][at]
        labels = fisher.draw(logits.detach(), generator)
        network.zero_grad()
        logits.log_softmax(-1)[torch.arange(len(labels)), labels].sum().backward()
        for name, p in network.named_parameters():
            if p.grad is not None and name in wanted:
                wanted[name] = wanted[name] + p.grad.square()
        count += len(labels)
    assert result.keys() == again.keys() and max(f.max() for f in result.values()) > 0
    for name, value in result.items():
        by_hand = wanted[name] / count + torch.zeros_like(value)
        torch.testing.assert_close(value, by_hand, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(again[name], value, rtol=1e-8, atol=1e-12)
    other = fisher.diagonal(network, documents, seed=6)
    assert not any(torch.equal(f, other[name]) for name, f in result.items() if f.any()), "other draws"
