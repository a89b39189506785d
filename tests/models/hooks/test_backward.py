"""What reaches the outputs of modules on the way back."""

import torch

from implicit_sparsity.models.hooks.backward import module_gradients


def test_gradients_are_those_of_the_outputs_in_each_backward_pass():
    """y = W2 relu(W1 x) and loss = c y: the output of W2 gets c, that of W1 c W2 where it is above 0."""
    first, second = torch.nn.Linear(2, 3, bias=False), torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))
        second.weight.copy_(torch.tensor([[2.0, 3, 4]]))
    x, seen = torch.tensor([[[5.0, 6]]], requires_grad=True), []
    with module_gradients({"one": first, "two": second}, lambda *given: seen.append(given)):
        for c in (1, 10):
            (c * second(first(x).relu())).sum().backward()
    values = [(name, gradient.tolist()) for name, gradient in seen]
    assert values == [
        ("two", [[[1]]]),
        ("one", [[[2, 3, 0]]]),
        ("two", [[[10]]]),
        ("one", [[[20, 30, 0]]]),
    ]
    second(first(x)).sum().backward()
    assert len(seen) == 4 and not first._forward_hooks, "nobody watches any more"


def test_an_output_that_needs_no_gradient_is_not_shown():
    frozen, trained = torch.nn.Linear(2, 2).requires_grad_(False), torch.nn.Linear(2, 2)
    seen = []
    with module_gradients({"frozen": frozen, "trained": trained}, lambda name, g: seen.append(name)):
        trained(frozen(torch.ones(1, 2))).sum().backward()
    assert seen == ["trained"]
