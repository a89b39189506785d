"""The positions that pruning freed, dealt out to domains, and the values that a domain trains on its own.

Shapes: a weight [X, o, i]; keep, bool of that shape, True where pruning kept the weight; positions, int32 [n]
into the flattened weight; values, float32 [n].
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import parametrize


def positions(keep, partition: int, partitions: int):
    """int32 [n], ascending: the freed positions of partition ``partition`` (from 0) of ``partitions``.

    Row by row the freed positions are dealt out in turn, each row beginning with the next partition, so that
    partitions have equal shares of every row, to one, and of every column, nearly.
    """
    free = ~keep.flatten(0, -2)
    turn = free.cumsum(1, dtype=torch.int32) - 1
    turn += torch.arange(len(free), dtype=torch.int32, device=free.device)[:, None]
    return (free & (turn % partitions == partition)).flatten().nonzero().flatten().int()


def pack(keep):
    """A mask as bits, uint8 [ceil(n / 8)]."""
    return torch.from_numpy(np.packbits(keep.flatten().cpu().numpy()))


def unpack(bits, shape):
    """The mask of this shape that ``pack`` packed."""
    flat = np.unpackbits(bits.cpu().numpy(), count=int(np.prod(shape)))
    return torch.from_numpy(flat).bool().reshape(shape)


@dataclass
class Partitions:
    """Trainable values at some positions of weights; the weights are zero there meanwhile."""

    weights: dict  # name -> wanda.Weight
    places: dict  # name -> positions
    values: dict  # name -> torch.nn.Parameter

    @classmethod
    def attach(cls, model, weights: dict, places: dict):
        """Move what the weights hold at ``places`` into parameters, ``partition_values`` of the model."""
        values, held = {}, torch.nn.ParameterDict()
        for name, weight in weights.items():
            flat, at = weight.view.view(-1), places[name].long()
            values[name] = held[name.replace(".", "_")] = torch.nn.Parameter(flat[at].float())
            flat[at] = 0
        model.partition_values = held
        return cls(weights, places, values)

    @contextmanager
    def written(self):
        """The model computes as if the values stood in the weights, each rounded to its weight's precision.

        A weight is made up when it is asked for and dropped after: one layer's at a time, where gradients are
        checkpointed.
        """

        class Written(torch.nn.Module):
            def __init__(self, places, values):
                super().__init__()
                self.places, self.values = places, [values]  # in a list: not a parameter of this module, too

            def forward(self, weight):
                added = self.values[0].to(weight.dtype)
                return weight.flatten().index_add(0, self.places, added).view_as(weight)

        for name, weight in self.weights.items():
            written = Written(self.places[name], self.values[name])
            parametrize.register_parametrization(weight.module, weight.parameter, written)
        try:
            yield
        finally:
            for weight in self.weights.values():
                parametrize.remove_parametrizations(weight.module, weight.parameter, leave_parametrized=False)

    def settle(self, model) -> None:
        """Write the values into the weights for good."""
        for name, weight in self.weights.items():
            flat = weight.view.view(-1)
            flat[self.places[name].long()] = self.values[name].detach().to(flat.dtype)
        del model.partition_values
        self.weights = {}

    def change_norms(self, before: dict, foreign: dict) -> tuple[float, float]:
        """(norm of what changed where ``foreign`` [n] is True, norm of all that changed) since ``before``."""
        forbidden = total = 0.0
        for name, value in self.values.items():
            change = (value.detach() - before[name]).double().square()
            total += float(change.sum())
            forbidden += float(change[foreign[name]].sum())
        return forbidden**0.5, total**0.5
