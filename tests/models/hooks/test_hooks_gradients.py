"""Gradients of weights, seen one at a time or changed before anything adds them up."""

import pytest
import torch

from implicit_sparsity.models.hooks.gradients import masked_gradients, weight_gradients


def test_frozen_weights_show_their_gradient_and_keep_none():
    """loss = v (W x): of W v'x', of v W x; another weight is not asked for and stays without."""
    w = torch.nn.Parameter(torch.tensor([[1.0, 2], [3, 4]]), requires_grad=False)
    v = torch.nn.Parameter(torch.tensor([5.0, 6]))
    other = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    x, seen = torch.tensor([7.0, 8]), {}

    def observe(name, gradient):
        assert w.grad is None or v.grad is None, "one is held at a time"
        seen[name] = gradient.tolist()

    with weight_gradients({"w": w, "v": v}, observe):
        assert w.requires_grad and not other.requires_grad
        (v @ (w @ x) + other.sum()).backward()
        assert w.grad is None and v.grad is None
    assert seen == {"w": [[35, 40], [42, 48]], "v": [23, 53]}
    assert (w.requires_grad, v.requires_grad) == (False, True), "as they were"
    (v @ (w @ x)).backward()
    assert v.grad.tolist() == [23, 53] and w.grad is None and len(seen) == 2


def test_weights_are_frozen_again_whatever_happens():
    w = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    with pytest.raises(KeyError), weight_gradients({"w": w}, print):
        raise KeyError
    assert not w.requires_grad and not w._post_accumulate_grad_hooks


def test_masks_broadcast_and_come_before_what_is_added_up():
    """Two backward passes: each is masked, and a norm that clips knows nothing of the rest."""
    w, free = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(2))
    rows, whole = torch.tensor([[1.0], [0]]), torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    with masked_gradients([(w, rows)]):
        for scale in (3, 1):
            (scale * (w + free)).sum().backward()
    assert w.grad.tolist() == [[4, 4, 4], [0, 0, 0]] and free.grad.tolist() == [[4, 4, 4]] * 2
    assert torch.nn.utils.clip_grad_norm_([w], 1.0) == pytest.approx(48**0.5)
    w.grad = None
    with masked_gradients([(w, whole), (free, rows)]):
        w.sum().backward()
    assert w.grad.tolist() == whole.tolist()
    w.sum().backward()
    assert w.grad.tolist() == (whole + 1).tolist(), "what comes later is whole again"
