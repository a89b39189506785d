"""2:4 pruning once, then a track of freed positions for each domain.

Stage 1, before it trains: of every four neighbours in a row of each weight W [o, i] (FFN, routed experts
included, or all linear layers) the two with the larger |W_oi| * ||x_i||_2 stay (Wanda, 2306.11695; x: inputs
on the first domain's select split), and, with ``recovery``, move once to the least-squares fit of the dense
outputs. From then on the kept weights are frozen. Half of all positions are free; they are dealt out in turn
to ``tracks`` tracks, and domain t trains track t, from zero: 1 / (2 * tracks) of the weights. So what a
stage writes, no other has written or will write. Control ``shared``: all domains write the first track, 2:4
without continual learning, at equal parameters.

What is trained is kept apart, n float32 values and int32 positions a weight, so the base may be bfloat16:
at the free positions it is zero, and nothing small is added to anything large. On 27 B (17.1e9 FFN weights,
4 tracks): 2.1e9 trained values, 34 GB with gradients and AdamW's moments, 9 GB positions, 11 GB for the
audit; stage 1 first holds its calibration inputs, 4 bytes * sample_tokens * the inputs of every layer. No
low-rank adapter holds it: a stage leaves a whole model. State: the kept mask, one bit a pruned weight at
every stage, 2.1 GB on 27 B.

Known to deviate: with the tracks filled the model is dense again, so nothing is gained in speed; Wanda
calibrates on C4 and layer after layer, here every layer sees the dense model's inputs; tracks are dealt out
by turn, not learnt.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from implicit_sparsity.errors import InputError

from .base import Method, option


@dataclass
class StructuredSparsity(Method):
    """Each domain learns on its own share of the positions that 2:4 pruning freed."""

    targets: str = option("mlp", choices=("mlp", "all"), help="prune the FFN alone, or all linear layers")
    tracks: int = option(4, low=1, high=1024, help="shares of the freed positions: domains that it can take")
    track: str = option("own", choices=("own", "shared"), help="shared: every domain writes the first")
    recovery: str = option(
        "least_squares", choices=("least_squares", "none"), help="of the kept weights, once, after pruning"
    )
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that inputs are read from")

    TRAINS = "tracks"
    CONTROLS: ClassVar[dict] = {"shared": {"track": "shared"}}
    constrained = True
    exact = True
    adapter = False

    def begin(self, stage):
        from implicit_sparsity import tracks, wanda

        number = 0 if self.track == "shared" else len(stage.domains) - 1
        if number >= self.tracks:
            raise InputError(
                f"domain {number + 1} of the order finds {self.tracks} tracks: raise tracks",
                key="methods.structured_sparsity.tracks",
            )
        found = wanda.weights(stage.model, self.targets)
        self.bits = stage.previous_state() or self.prune(stage, found)
        places, self.foreign = {}, {}
        for name, weight in found.items():
            keep = tracks.unpack(self.bits[f"kept.{name}"], weight.view.shape).to(weight.tensor.device)
            places[name] = tracks.positions(keep, number, self.tracks)
            self.foreign[name] = self.not_mine(keep, places[name].long(), number)
        self.trained = tracks.Tracks.attach(stage.model, found, places)
        return stage.model

    def prune(self, stage, found) -> dict:
        """Prune and mend the weights in place; {kept.<name>: bits}."""
        from implicit_sparsity import tracks, wanda

        inputs = wanda.calibration(stage.model, stage.select_batches(self.sample_tokens), found)
        bits = {}
        for name, weight in found.items():
            view = weight.view
            norms = wanda.input_norms(inputs[name], view.shape[2]).to(view.device)
            keep = wanda.two_of_four(view, norms)
            for expert, x in enumerate(inputs[name]):
                if self.recovery == "least_squares" and x is not None:
                    view[expert] = wanda.recover(view[expert], keep[expert], x).to(view.dtype)
            view.mul_(keep)
            bits[f"kept.{name}"] = tracks.pack(keep)
        return bits

    def not_mine(self, keep, places, number):
        """bool [n]: places that were kept, or that the deal gives to another track, counted here by hand."""
        row, column = places // keep.shape[-1], places % keep.shape[-1]
        rows = keep.flatten(0, -2)
        earlier = (~rows).cumsum(1)[row, column] - 1
        return rows[row, column] | ((earlier + row) % self.tracks != number)

    @contextmanager
    def running(self, model):
        with self.trained.written():
            yield

    def snapshot(self, model):
        return {name: value.detach().clone() for name, value in self.trained.values.items()}

    def leak(self, model, before):
        return self.trained.change_norms(before, self.foreign)

    def end(self, stage):
        return self.bits

    def save(self, stage, folder):
        from implicit_sparsity import models

        self.trained.settle(stage.model)
        models.save(stage.model, folder, stage.training.get("precision", "fp32"))
