"""2:4 pruning once, then a partition of freed positions for each domain.

Stage 1, before it trains: of every four neighbours in a row of each weight W [o, i] (FFN, routed experts
included, or all linear layers) the two with the larger |W_oi| * ||x_i||_2 stay (Wanda, 2306.11695; x: inputs
on the first domain's select split), and, with ``recovery``, move once to the least-squares fit of the dense
outputs. From then on the kept weights are frozen. Half of all positions are free; they are dealt out in turn
to ``partitions`` partitions, and domain t trains partition t, from zero: 1 / (2 * partitions) of the weights.
So what a stage writes, no other has written or will write. Control ``shared``: all write the first, 2:4
without continual learning, at equal parameters.

What is trained is kept apart, n float32 values and int32 positions a weight, so the base may be bfloat16:
at the free positions it is zero, and nothing small is added to anything large. On 27 B (17.1e9 FFN weights,
4 partitions): 2.1e9 trained values, 34 GB with gradients and AdamW's moments, 9 GB positions, 11 GB for the
audit; stage 1 first holds its calibration inputs, 4 bytes * sample_tokens * the inputs of every layer. No
low-rank adapter holds it: a stage leaves a whole model. State: the kept mask, one bit a pruned weight at
every stage, 2.1 GB on 27 B.

Known to deviate: with the partitions filled the model is dense again, so nothing is gained in speed; Wanda
calibrates on C4 and layer after layer, here every layer sees the dense model's inputs; partitions are dealt
out by turn, not learnt.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.options import option
from implicit_sparsity.updates import freed_weights, wanda

from .base import Method


@dataclass
class StructuredSparsity(Method):
    """Each domain learns on its own share of the positions that 2:4 pruning freed."""

    targets: str = option("mlp", choices=("mlp", "all"), help="prune the FFN alone, or all linear layers")
    partitions: int = option(
        4,
        above=0,
        low="longest order",
        high=1024,
        when=("partition", "own"),
        help="shares of the freed positions: domains that it can take",
    )
    partition: str = option("own", choices=("own", "shared"), help="shared: every domain writes the first")
    recovery: str = option(
        "least_squares", choices=("least_squares", "none"), help="of the kept weights, once, after pruning"
    )
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that inputs are read from")

    TRAINS = "partitions"
    CONTROLS: ClassVar[dict] = {"shared": {"partition": "shared"}}
    constrained = True
    UNQUANTIZED = True
    exact = True
    adapter = False

    def begin(self, stage):
        number = 0 if self.partition == "shared" else len(stage.domains) - 1
        if number >= self.partitions:
            raise InputError(
                f"domain {number + 1} of the order finds {self.partitions} partitions: raise partitions",
                key="methods.structured_sparsity.partitions",
            )
        weights = wanda.weights(stage.model, self.targets)
        self.bits = stage.previous_state() or self.prune(stage, weights)
        places, self.foreign = {}, {}
        for name, weight in weights.items():
            keep = freed_weights.unpack(self.bits[f"kept.{name}"], weight.view.shape).to(weight.tensor.device)
            places[name] = freed_weights.positions(keep, number, self.partitions)
            self.foreign[name] = self.not_mine(keep, places[name].long(), number)
        self.trained = freed_weights.Partitions.attach(stage.model, weights, places)
        return stage.model

    def prune(self, stage, weights) -> dict:
        """Prune and mend the weights in place; {kept.<name>: bits}."""
        inputs = wanda.calibration(stage.model, stage.select_batches(self.sample_tokens), weights)
        bits = {}
        for name, weight in weights.items():
            view = weight.view
            norms = wanda.input_norms(inputs[name], view.shape[2]).to(view.device)
            keep = wanda.two_of_four(view, norms)
            for expert, x in enumerate(inputs[name]):
                if self.recovery == "least_squares" and x is not None:
                    view[expert] = wanda.recover(view[expert], keep[expert], x).to(view.dtype)
            view.mul_(keep)
            bits[f"kept.{name}"] = freed_weights.pack(keep)
        return bits

    def not_mine(self, keep, places, number):
        """bool [n]: places that are kept, or dealt to another partition, counted here by hand."""
        row, column = places // keep.shape[-1], places % keep.shape[-1]
        rows = keep.flatten(0, -2)
        earlier = (~rows).cumsum(1)[row, column] - 1
        return rows[row, column] | ((earlier + row) % self.partitions != number)

    @contextmanager
    def running(self, model):
        with self.trained.written():
            yield

    def snapshot(self, model):
        return {name: value.detach().clone() for name, value in self.trained.values.items()}

    def constraint_violation(self, model, before):
        return self.trained.change_norms(before, self.foreign)

    def end(self, stage):
        return self.bits

    def save(self, stage, folder):
        self.trained.settle(stage.model)
        loading.save(stage.model, folder, stage.training.get("precision", "fp32"))
