"""How much of the optimizer's step a neuron takes: gates in [0, 1] that fall with old domains' use of it.

The step is scaled, not the gradient: AdamW divides a gradient by its own size, so that a gate on the gradient
cancels, and weight decay never asks for one. Shapes: L layers, N neurons of a layer, K chosen ones, G groups
of documents (a group is what Lin et al. call a batch), B groups of all old domains together.
"""

from dataclasses import dataclass

import torch

from .neuron_choice import sizes


def normalised_use(used):
    """Use of each neuron by one domain, float32 [L, N] in [0, 1], from its activity [L, N]: tanh(max(0, z)),
    z the activity less its layer's mean, over its standard deviation.

    SPG (2306.14775) takes |tanh z| of a gradient; activity has one side only: less than usual is no use.
    """
    result, widths = torch.full(used.shape, torch.nan), torch.tensor(sizes(used))
    for size in set(widths.tolist()):
        there = widths == size
        part = used[there, :size]
        spread = part.std(dim=1, keepdim=True, correction=0).clamp(min=1e-30)
        standard = (part - part.mean(dim=1, keepdim=True)) / spread
        result[there, :size] = standard.clamp(min=0).tanh().float()
    return result


def gates(use, chosen: dict) -> dict:
    """{layer: 1 - use [K]} of chosen neurons; 1 where nothing is known (``use`` None)."""
    if use is None:
        return {layer: torch.ones(len(index)) for layer, index in chosen.items()}
    return {layer: 1 - use[layer, index] for layer, index in chosen.items()}


def shuffled(gates: dict, widths: list[int], seed: int) -> tuple[dict, dict]:
    """(chosen, gates) at random: as many of a layer's neurons, of which there are ``widths``, with the same
    gates, so equal mass."""
    random = torch.Generator().manual_seed(seed)
    chosen, mixed = {}, {}
    for layer, values in sorted(gates.items()):
        chosen[layer] = torch.randperm(widths[layer], generator=random)[: len(values)].sort().values
        mixed[layer] = values[torch.randperm(len(values), generator=random)]
    return chosen, mixed


class GatedStep:
    """Of every optimizer step, lets each neuron of ``deltas`` (neurons.Deltas) take the share of its gate.

    ``before`` the step copies what is trained (4 bytes a number), ``after`` it goes back by 1 - gate: to the
    bit where the gate is 0, not at all where it is 1.
    """

    def __init__(self, deltas, gates: dict):
        self.parts = []  # (parameter, its neurons' gates, along its axis)
        for layer, (index, gate, up, down) in enumerate(deltas.layers):
            share = gates[layer].to(index.device)
            if bool((share == 1).all()):
                continue
            self.parts += [(gate, share[:, None]), (up, share[:, None]), (down, share[None, :])]

    def before(self) -> None:
        self.copies = [parameter.detach().clone() for parameter, _ in self.parts]

    def after(self) -> None:
        with torch.no_grad():
            for (parameter, share), copy in zip(self.parts, self.copies, strict=True):
                parameter.copy_(torch.lerp(copy, parameter, share.expand_as(copy)))
        self.copies = None


def accessed(sums, share: float):
    """Neurons among the ``share`` of their layer (one at least) that a group uses most, bool [G, L, N]; of
    activity [G, L, N]. None that is idle."""
    result = torch.zeros(sums.shape, dtype=torch.bool)
    for layer, size in enumerate(sizes(sums[0])):
        k = max(1, round(share * size))
        order = torch.argsort(sums[:, layer, :size], dim=1, descending=True, stable=True)[:, :k]
        result[:, layer].scatter_(1, order, True)
    return result & (sums > 0)


@dataclass
class Background:
    """What old domains access: ``groups`` B, ``accessed`` int32 [L, N] (how many of these groups access it),
    ``use`` float32 [L, N] (the largest share of one domain's groups with access). 8 L N bytes, however many
    domains.
    """

    groups: int = 0
    accessed: object = None
    use: object = None

    @classmethod
    def from_state(cls, state: dict):
        if "background.groups" not in state:
            return cls()
        return cls(*(state[f"background.{part}"] for part in ("groups", "accessed", "use")))

    def to_state(self) -> dict:
        groups = torch.as_tensor(int(self.groups))
        return {"background.groups": groups, "background.accessed": self.accessed, "background.use": self.use}

    def scores(self, sums):
        """TF-IDF of each neuron for a new domain of activity ``sums`` [G, L, N], float64 [L, N]:

        tf = c_i / sum_j c_j over the layer, idf = log((B + 1) / (accessed_i + 1)), or 1 without old domains.
        """
        counts = sums.double().sum(0)
        frequency = counts / counts.nansum(dim=1, keepdim=True).clamp(min=1e-30)
        if self.accessed is None:
            return frequency
        return frequency * torch.log((int(self.groups) + 1) / (self.accessed.double() + 1))

    def with_domain(self, accessed):
        """This background and one more domain's groups, bool [G, L, N]."""
        result, use = accessed.sum(0).int(), accessed.float().mean(0)
        if self.accessed is None:
            return Background(len(accessed), result, use)
        together = int(self.groups) + len(accessed)
        return Background(together, self.accessed + result, torch.maximum(self.use, use))
