"""Diagonal of the true Fisher information of what a network trains, one document at a time.

    F_i = 1/N sum over documents (d/d theta_i sum_t log p(y_t | x_<t))^2,    y_t ~ p(. | x_<t)

N completion tokens in all, x_<t the document's own tokens before. Labels are drawn from the model at each
completion position, so scores of different positions are uncorrelated and a document's square is, on
average, the sum of its positions' Fisher information; with the data's labels it would be the "empirical
Fisher", which is no curvature (Kunstner et al. 1905.12558). Units: nats a token and squared parameter, the
scale of the mean completion loss.
"""

from contextlib import contextmanager, nullcontext

import torch

from implicit_sparsity.models import forward, losses
from implicit_sparsity.models.batching import collate, completion_tokens, to_device
from implicit_sparsity.models.hooks.routing import SteadyRouting


class Penalty:
    """1/2 sum F (theta - theta*)^2, of a model with parameters as ``anchor`` and ``fisher`` name them.

    Kept as one vector each: on a GPU a penalty of hundreds of tensors would be hundreds of launches.
    """

    def __init__(self, anchor: dict, fisher: dict):
        self.names = sorted(fisher)
        self.anchor = torch.cat([anchor[name].flatten() for name in self.names])
        self.fisher = torch.cat([fisher[name].flatten() for name in self.names]).to(self.anchor.device)

    def __call__(self, model):
        now, device = dict(model.named_parameters()), self.anchor.device
        moved = torch.cat([now[name].flatten().to(device) for name in self.names]) - self.anchor
        return 0.5 * (self.fisher * moved.square()).sum()


def accumulated(old: dict, new: dict, gamma: float) -> dict:
    """gamma * old + new, by name; ``old`` may be empty."""
    return {name: f + gamma * old[name].to(f.device) if old else f for name, f in new.items()}


def squared_scores(parameters: dict, scores) -> dict:
    """sum of squared gradients over sum of counts, by name; ``scores`` yields (log-likelihood, its count)."""
    sums = {name: torch.zeros_like(p, dtype=torch.float32) for name, p in parameters.items()}
    total = 0
    for score, count in scores:
        gradients = torch.autograd.grad(score, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:  # experts of a layer that no token reached
                sums[name] += gradient.float().square()
        total += count
    return {name: value / max(1, total) for name, value in sums.items()}


def draw(logits, generator):
    """One label of each row of logits [N, V], from their softmax: int64 [N]."""
    return torch.multinomial(logits.float().softmax(-1), 1, generator=generator)[:, 0]


def diagonal(model, documents: list, seed: int, checkpointing: bool = False) -> dict:
    """F by name of every trainable parameter, float32, in its shape; from one draw of labels a document."""
    generator = torch.Generator(forward.head(model).weight.device).manual_seed(seed)
    answered = [document for document in documents if completion_tokens(document)]
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with recomputing(model) if checkpointing else nullcontext():
        return squared_scores(trained, (_score(model, document, generator) for document in answered))


def _score(model, document, generator):
    """(log-likelihood of labels drawn for a document's completion, their number)."""
    batch = to_device(collate([document]), next(model.parameters()).device)
    hidden = forward.hidden_states(model, **forward.inputs(batch))
    hidden = hidden[batch["labels"].to(hidden.device) != -100]
    head = forward.head(model)
    rows = max(1, losses.LOGITS_AT_ONCE // head.weight.shape[0])
    with torch.no_grad():
        labels = torch.cat([draw(head(part), generator) for part in hidden.split(rows)])
    return -losses.token_nats(model, hidden, labels).sum(), len(labels)


@contextmanager
def recomputing(model):
    """Keep only each layer's input for a backward pass; without dropout, as in eval mode."""
    with SteadyRouting(model).holding() as routing:
        forward.checkpoint_gradients(model, routing.contexts)
        model.train()  # transformers computes a layer again in training mode alone
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        try:
            yield routing
        finally:
            forward.keep_gradients(model)
            model.eval()
