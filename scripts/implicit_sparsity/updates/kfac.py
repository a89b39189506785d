"""Curvature of a loss in the weights of linear layers, as a Kronecker product of two second moments.

For y = W x the Fisher information of W is E[x x' (x) g g'], g the gradient of -log p(label) at y, the label
drawn from the model itself. K-FAC (Martens & Grosse 1503.05671) takes A (x) G for it, A = E[x x'] and
G = E[g g'] over token positions (the "expand" form for sequences, Eschenhagen et al. 2311.00636): exact for
a single x, or where x and g are independent.

Neither A nor G is ever formed: each is kept as rows R with R'R its best approximation of their number,
sqrt(eigenvalue) * eigenvector', one more than the directions in use: the last one's eigenvalue bounds all
that is left out. So a 17,408-wide input costs the decomposition of some hundred rows. Shapes: n width of an
input or output, m rows.
"""

from contextlib import nullcontext

import torch

from implicit_sparsity.models import forward, losses
from implicit_sparsity.models.hooks.backward import module_gradients
from implicit_sparsity.models.hooks.watching import module_inputs

from . import fisher

INPUTS, GRADIENTS, TRACES = "inputs", "gradients", "traces"


def principal(rows, count: int):
    """The ``count`` leading directions of rows'rows, as rows sqrt(eigenvalue) * eigenvector', descending."""
    q, r = torch.linalg.qr(rows.double().T)  # [n, m], [m, m]: the SVD is of the small one
    _, values, turn = torch.linalg.svd(r.T, full_matrices=False)
    held = min(count, int((values > 1e-7 * values[:1]).sum()))
    return (values[:held, None] * (turn[:held] @ q.T)).float()


class Moment:
    """The sum of v v' over vectors, held in its leading ``count`` directions; its trace is exact."""

    def __init__(self, count: int):
        self.count, self.rows, self.trace, self.vectors = count, [], 0.0, 0

    def add(self, vectors) -> None:
        """Count in the rows of ``vectors`` [m, n]."""
        self.rows.append(vectors.float())
        self.trace += float(vectors.double().square().sum())
        self.vectors += len(vectors)
        if sum(map(len, self.rows)) > 4 * self.count + 1024:  # as many are exact together
            self.rows = [principal(torch.cat(self.rows), self.count)]

    def mean(self):
        """(rows of the mean [m, n], its trace)."""
        rows = principal(torch.cat(self.rows) / self.vectors**0.5, self.count)
        return rows, self.trace / self.vectors


def measure(model, batches, modules: dict, directions: int, seed: int, checkpointing=False) -> dict:
    """State of these linear layers' mean moments: {name.inputs, name.gradients: rows, name.traces: [2]}.

    Over all tokens of the batches; a sampled label takes the place of each completion token, and one
    backward pass gives all g. Layers that read one tensor share one moment. ``checkpointing``: layers are
    computed again for it.
    """
    inputs, gradients, seen, keep, last = {}, {}, set(), None, (None, None)

    def see_input(name, x):
        nonlocal last
        if name in seen:  # computed again
            return
        seen.add(name)
        if x is last[0]:
            inputs[name] = inputs[last[1]]
        else:
            inputs.setdefault(name, Moment(directions + 1)).add(x.detach().flatten(0, -2)[keep.to(x.device)])
            last = (x, name)

    def see_gradient(name, g):
        gradients.setdefault(name, Moment(directions + 1)).add(g.detach().flatten(0, -2)[keep.to(g.device)])

    generator = torch.Generator(forward.head(model).weight.device).manual_seed(seed)
    again = fisher.recomputing(model) if checkpointing else nullcontext()
    with again, module_inputs(modules, see_input), module_gradients(modules, see_gradient):
        for batch in batches:
            seen.clear()
            keep, last = batch["attention_mask"].bool().flatten(), (None, None)
            sampled_nats(model, batch, generator).backward()
    model.zero_grad(set_to_none=True)
    means = {id(moment): moment.mean() for moment in [*inputs.values(), *gradients.values()]}
    state = {}
    for name in modules:
        (x, trace_x), (g, trace_g) = means[id(inputs[name])], means[id(gradients[name])]
        traces = torch.tensor([trace_x, trace_g], dtype=torch.float64)
        state |= {f"{name}.{INPUTS}": x, f"{name}.{GRADIENTS}": g, f"{name}.{TRACES}": traces}
    return state


def sampled_nats(model, batch: dict, generator):
    """Sum of -log p of labels that the model itself draws at the places of the completion tokens."""
    hidden = forward.hidden_states(model, **forward.inputs(batch))
    hidden = hidden[(batch["labels"] != -100).to(hidden.device)]
    head = forward.head(model)
    with torch.no_grad():
        parts = hidden.split(max(1, losses.LOGITS_AT_ONCE // head.weight.shape[0]))
        drawn = [fisher.draw(head(part), generator) for part in parts]
    return losses.token_nats(model, hidden, torch.cat(drawn)).sum()


def add(old: dict, new: dict, directions: int) -> dict:
    """The states of two sums of moments as one; every domain counts the same. {} adds nothing."""
    if not old:
        return new
    total, done = {}, {}
    for name, tensor in new.items():
        if name.endswith(TRACES):
            total[name] = old[name] + tensor
            continue
        if id(tensor) not in done:  # what layers share stays shared
            rows = torch.cat([old[name].to(tensor.device), tensor])
            done[id(tensor)] = principal(rows, directions + 1)
        total[name] = done[id(tensor)]
    return total
