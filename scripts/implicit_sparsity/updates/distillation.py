"""Divergence of a network's next-token distributions from those of an earlier state of itself.

Shapes: N completion positions, H hidden width, V vocabulary. The teacher costs one forward pass and no
weights but a copy of what is trained; logits of both are held a chunk at a time, as in ``losses``.
"""

from contextlib import contextmanager

import torch
from torch.utils.checkpoint import checkpoint

from implicit_sparsity.models import forward, losses
from implicit_sparsity.models.hooks.watching import module_inputs


@contextmanager
def last_states(model):
    """A list whose one item is what the last norm read in the latest forward pass [B, S, H]."""
    seen = []

    def note(_, x):
        seen[:] = [x]

    with module_inputs({"norm": forward.last_norm(model)}, note):
        yield seen


def completion_states(seen: list, model, batch):
    """Last hidden states [N, H] at the completion positions, with their gradient, of the pass in ``seen``.

    The list is emptied: what it held keeps the pass's whole graph alive.
    """
    states = seen.pop()
    with forward.arithmetic(model):
        hidden = forward.last_norm(model)(states)
    seen.clear()
    return _completions(hidden, batch)


def run(model, batch):
    """Last hidden states [N, H] at the completion positions, without a gradient."""
    with torch.no_grad():
        return _completions(forward.hidden_states(model, **forward.inputs(batch)), batch)


def _completions(hidden, batch):
    return hidden[batch["labels"].to(hidden.device) != -100]


@contextmanager
def as_it_was(model, values: dict):
    """The network with ``values`` in place of the parameters of these names, in eval mode.

    Parameters are pointed elsewhere and back, not written to, so that a gradient may still run through them.
    """
    given = {name: p for name, p in model.named_parameters() if name in values}
    now = {name: p.data for name, p in given.items()}
    training = [module for module in model.modules() if module.training]
    try:
        for name, p in given.items():
            p.data = values[name]
        yield model.eval()
    finally:
        for name, p in given.items():
            p.data = now[name]
        for module in training:
            module.training = True


def divergence(model, student, teacher, temperature: float):
    """T^2 KL(teacher || student) in nats of each position, float32 [N], of hidden states [N, H]."""
    head = forward.head(model)

    def of_rows(mine, other):
        with torch.no_grad():
            wanted = (head(other).float() / temperature).log_softmax(-1)
        result = (head(mine).float() / temperature).log_softmax(-1)
        return temperature**2 * (wanted.exp() * (wanted - result)).sum(-1)

    rows = max(1, losses.LOGITS_AT_ONCE // head.weight.shape[0] // 2)  # two distributions at once
    if len(student) <= rows:
        return of_rows(student, teacher)
    pairs = zip(student.split(rows), teacher.split(rows), strict=True)
    return torch.cat([checkpoint(of_rows, *pair, use_reentrant=False) for pair in pairs])
