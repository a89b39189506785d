"""Self-distillation: a LoRA, continued, that on the new domain's inputs keeps to what it said before.

    loss + weight * T^2 * mean over completion positions of KL(p_teacher^T || p^T),   p^T = softmax(z / T)

Learning without Forgetting (Li & Hoiem 1606.09282: weight 1, T = 2) with the whole vocabulary as the old
task; T^2 keeps the gradient's size (Hinton et al. 1503.02531). The teacher is this very network with its
LoRA as the stage found it (at the first stage that is the base model) or, ``teacher: base``, with none: no
second model, one more forward pass without gradients a step. As in LwF it sees the new domain's inputs and
no old document. Weight 0 is plain LoRA, to the bit.

Deviates from LwF: no warm-up of a new head, as there is none. SDFT (2402.13669), also called
self-distillation, rewrites the training data instead. The learning curve's loss includes the penalty. No
state: the teacher is the adapter of the stage before.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.updates import distillation

from .base import LoraMethod


@dataclass
class SelfDistillation(LoraMethod):
    """LoRA that is held to its own earlier predictions."""

    weight: float = option(1.0, low=0, help="of the divergence from the teacher; 0: plain LoRA")
    temperature: float = option(2.0, low=0.1, high=100, help="T; larger: unlikely words count for more")
    teacher: str = option("previous", choices=("previous", "base"), help="whose predictions are kept")

    def begin(self, stage):
        model = super().begin(stage)
        self.before = self.snapshot(model)  # the first stage's B is zero: the base model
        if self.teacher == "base":
            for name in self.before:
                if ".lora_B." in name:
                    self.before[name].zero_()
        return model

    @contextmanager
    def running(self, model):
        with distillation.last_states(model) as self.states:
            yield

    def loss(self, model, batch, loss):
        if not self.weight:
            return loss
        student = distillation.completion_states(self.states, model, batch)
        with distillation.as_it_was(model, self.before):
            teacher = distillation.run(model, batch)
        divergence = distillation.divergence(model, student, teacher, self.temperature)
        return loss + self.weight * divergence.mean().to(loss.device)
