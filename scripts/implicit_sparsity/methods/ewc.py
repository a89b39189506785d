"""Elastic weight consolidation: a LoRA, continued, whose factors are held where old domains need them.

    loss + weight / 2 * sum_i F_i (theta_i - theta*_i)^2        (Kirkpatrick et al. 1612.00796, eq. 3)
    F after a stage = gamma * F before + F of its domain         (online EWC, Schwarz et al. 1805.06370)

theta are A and B of the LoRA, theta* their values at the end of the stage before, F the diagonal of the
*true* Fisher information per completion token: labels drawn from the model, not the data's
(``fisher.diagonal``). So F is the curvature of an old domain's mean loss, and with weight 1 that counts as
much as the new one's, to second order.

Known to deviate: F is read off ``documents`` of the select split, not all training data; Schwarz et al. scale
each domain's F to one size, here it keeps its own; F of factors, not of dW = B A, of which it depends on the
split into factors. The learning curve's loss includes the penalty.

``state.safetensors``: F in float32, as large as the adapter and no larger later; theta* is the adapter
beside it.
"""

from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.updates import fisher

from .base import LoraMethod


@dataclass
class Ewc(LoraMethod):
    """LoRA with a quadratic penalty on moving what old domains' outputs depend on."""

    weight: float = option(1.0, low=0, help="of the penalty; 0: plain LoRA")
    gamma: float = option(1.0, low=0, high=1, help="what older domains' Fisher is multiplied by each stage")
    documents: int = option(
        32, low=1, help="documents of the select split, at most, that the Fisher is read from"
    )

    STATE = (4, 0)

    def begin(self, stage):
        model = super().begin(stage)
        self.old = stage.previous_state() if self.weight else {}
        self.held = fisher.Penalty(self.snapshot(model), self.old) if self.old else None
        return model

    def loss(self, model, batch, loss):
        return loss + self.weight * self.held(model).to(loss.device) if self.held else loss

    def end(self, stage):
        if not self.weight:
            return {}
        documents = stage.select_documents()[: self.documents]
        again = bool(stage.training.get("gradient_checkpointing"))
        information = fisher.diagonal(stage.model, documents, stage.stream("fisher"), again)
        return fisher.accumulated(self.old, information, self.gamma)
