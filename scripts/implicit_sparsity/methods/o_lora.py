"""O-LoRA: a LoRA for each domain, whose A is pressed to be orthogonal to the A of old domains.

    loss + weight * sum over adapted weights and old domains of |A_old A_new'|        (Wang et al. 2310.14152)

|.| sums absolute entries: rows of A span what an update reads of its input, and where the rows of two
domains are orthogonal their updates read different directions. Old LoRAs are frozen but stay at work; the
adapter saved is the sum of all, stacked into one of rank stage * rank that PEFT alone loads. On fused experts
each expert has its own A. A soft penalty: nothing is promised, so there is no constraint audit. Weight 0: a
new LoRA a domain, stacked.

The paper's formula squares the entries; its authors' code takes absolute values, as here, with lambda_1 = 0.5
(cmnfriend/O-LoRA, scripts/order_1.sh). Left out: the code's second penalty lambda_2 (|A_new| + |B_new|), 0 in
that script. The learning curve's loss includes the penalty.

``state.safetensors``: every domain's A, [X, stage * rank, inputs] of each weight, about half the adapter.
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.models import lowrank
from implicit_sparsity.models.protected import row_span
from implicit_sparsity.options import option

from .base import LoraMethod


@dataclass
class OLora(LoraMethod):
    """A LoRA a domain, pressed off the directions that old ones read."""

    weight: float = option(
        0.5, low=0, help="of the sum of |A_old A_new'|; 0: a LoRA of its own for each stage"
    )

    STACKED = True
    STATE = (0, 2)

    def begin(self, stage):
        self.old = stage.previous_state()
        if not self.old:
            return self.new_adapter(stage)
        stage.keep_previous()
        model = self.new_adapter(stage)
        self.old = lowrank.beside(self.old, model)
        return model

    def loss(self, model, batch, loss):
        if not (self.old and self.weight):
            return loss
        return loss + self.weight * sum(part.to(loss.device) for part in self.overlaps(model))

    def overlaps(self, model):
        """|A_old A_new'| of each adapted weight."""
        for name, factor in lowrank.factors(model).items():
            yield (self.old[name] @ factor.views[0].transpose(1, 2)).abs().sum()  # [X, old ranks, rank]

    def end(self, stage):
        new = {name: factor.views[0].detach() for name, factor in lowrank.factors(stage.model).items()}
        return {name: torch.cat([self.old[name], a], 1) if self.old else a for name, a in new.items()}

    def protected(self, stage, changes):
        """What the A of old domains span, which the penalty presses the new one off."""
        return {name: row_span(rows) for name, rows in stage.previous_state().items()} if self.weight else {}

    def save(self, stage, folder):
        if self.old:
            stage.save_stacked(folder)
        else:
            super().save(stage, folder)
