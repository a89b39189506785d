"""A, activation-mask tuning: only the neurons that the new domain uses most are written, and no old domain's.

The body is frozen. Of each feed-forward layer's neurons the share ``fraction`` with the largest mean |h| on
the domain's select split is chosen, less those that old domains protect (their most active ones, and all that
they wrote); trained are their rows of gate and up and their columns of down. So a stage writes
3 * K * hidden numbers a layer, exactly those, and nothing else moves.

``choose`` names the controls, which train exactly as many numbers: a random draw, the least active neurons in
use, the largest weights (norm of a neuron's 3 H numbers), or hubs: the best worst rank of activity in all
domains so far, each as it was when its stage began. Hubs are what old domains protect, so that control does
without protection; at the first stage it is the method.

``protection: soft`` (after SPG 2306.14775 and HAT 1801.01423): any neuron may be chosen, and takes 1 - use of
each real step, use = max over old domains of tanh(max(0, z)), z its activity standardised in its layer. It
promises nothing. Deviates from SPG: use is activity, not gradient, of a neuron, not a weight; the step is
scaled, because AdamW cancels a gate on the gradient.

Rows are saved as a LoRA with one factor fixed to ones at the chosen neurons: dW = E' D, columns dW = D E.
PEFT loads and merges it anywhere, fused experts included, which its SHiRA does not reach. State: compact rows
and columns, (12 H + 8) bytes a neuron written, 8 a protected one; for ``soft`` and ``hub`` 4 bytes a neuron.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch

from implicit_sparsity.options import option
from implicit_sparsity.updates import neuron_choice, neuron_deltas, neuron_gates

from .base import Method


@dataclass
class ActivationMask(Method):
    """Train the new domain's most active, unprotected neurons."""

    fraction: float = option(0.03, above=0, high=1, help="share of each layer's neurons that a stage writes")
    protect: float = option(
        0.03, low=0, high=1, help="most active neurons that a domain protects, beside what it wrote; 0: none"
    )
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that activity is read from")
    choose: str = option(
        "active", choices=("active", "random", "least", "hub", "weight"), help="neurons that a stage writes"
    )
    protection: str = option(
        "hard", choices=("hard", "soft"), help="soft: written by 1 - old use; any protect above 0 asks for it"
    )

    TRAINS = "neurons"
    CONTROLS = {
        "random": {"choose": "random"},
        "least_active": {"choose": "least"},
        "hubs": {"choose": "hub"},
        "largest_weight": {"choose": "weight"},
    }
    constrained = True
    exact = True

    def __post_init__(self):
        super().__post_init__()
        self.constrained = self.protection == "hard"
        self.soft = self.protection == "soft" and self.protect > 0 and self.choose != "hub"

    def begin(self, stage):
        self.before, self.gated = stage.previous_state(), None
        past = neuron_deltas.Deltas.from_state(self.before)
        with past.beside(stage.model).applied(stage.model):
            self.used = neuron_choice.activity(stage.model, stage.select_documents(), self.sample_tokens)
        self.ranks = neuron_choice.worst_ranks(self.used, self.before.get("ranks"))
        self.guarded = {} if self.choose == "hub" else neuron_choice.protected(self.before)
        scores = neuron_choice.scores(self.choose, self.used, stage.model, stage.stream("mask"), self.ranks)
        self.chosen = neuron_choice.choose(scores, self.fraction, self.guarded)
        # what earlier stages wrote stays beside the weights: added to bfloat16 it would be rounded away
        self.old = past.without(self.chosen).beside(stage.model)
        self.deltas = neuron_deltas.attach(stage.model, self.chosen, past)
        if self.soft and "use" in self.before:
            gates = neuron_gates.gates(self.before["use"], self.chosen)
            self.gated = neuron_gates.GatedStep(self.deltas, gates)
        return stage.model

    @contextmanager
    def running(self, model):
        with self.old.applied(model), self.deltas.applied(model):
            yield

    def gradients(self, model):
        if self.gated:
            self.gated.before()

    def step(self, model):
        if self.gated:
            self.gated.after()

    def constraint_violation(self, model, before):
        """Trained entries of protected neurons, by their numbers: written means a violation."""
        if not self.guarded:
            return None
        return self.deltas.change_norms(before, self.guarded)

    def end(self, stage):
        state = {"ranks": self.ranks} if self.choose == "hub" else {}
        state |= self.old.joined_with(self.deltas).to_state()
        if self.soft:
            use = neuron_gates.normalised_use(self.used)
            return state | {"use": torch.maximum(use, self.before.get("use", use))}
        claimed = neuron_choice.choose(self.used, self.protect, {})
        written = self.chosen if self.protect else {}
        protected = neuron_choice.union(self.guarded, claimed, written)
        return state | {f"protected.{layer}": index for layer, index in protected.items()}

    def protected(self, stage, changes):
        """Inputs of down (neurons) and outputs of gate and up that this stage did not write."""
        return neuron_deltas.unwritten(changes) if self.constrained else {}

    def save(self, stage, folder):
        self.old.joined_with(self.deltas).save_as_lora(stage.model, folder)
