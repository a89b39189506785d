"""A, activation-mask tuning: only the neurons that the new domain uses most are written, and no old domain's.

The body is frozen. Of each feed-forward layer's neurons the share ``fraction`` with the largest mean |h| on
the domain's select split is chosen, less those that old domains protect (their most active ones, and all that
they wrote); trained are their rows of gate and up and their columns of down. So a stage writes
3 * K * hidden numbers a layer, exactly those, and nothing else moves.

Saved as a LoRA with one factor fixed to ones at the chosen neurons: rows dW = E' D, columns dW = D E. PEFT
loads and merges it anywhere, fused experts included, which its SHiRA does not reach. ``state.safetensors``
holds the compact rows and columns.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from .base import Method, option


@dataclass
class ActivationMask(Method):
    """Train the new domain's most active, unprotected neurons."""

    fraction: float = option(0.03, low=0, high=1, help="share of each layer's neurons that a stage writes")
    protect: float = option(
        0.03, low=0, high=1, help="most active neurons that a domain protects, beside what it wrote; 0: none"
    )
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that activity is read from")

    TRAINS = "neurons"
    constrained = True

    def begin(self, stage):
        from implicit_sparsity import neurons

        state = stage.previous_state()
        past, self.guarded = neurons.Deltas.from_state(state), neurons.protected(state)
        with past.beside(stage.model).applied(stage.model):
            scores = neurons.activity(stage.model, stage.select_documents(), self.sample_tokens)
        self.chosen = neurons.choose(scores, self.fraction, self.guarded)
        self.claimed = neurons.choose(scores, self.protect, {})
        # what earlier stages wrote stays beside the weights: added to bfloat16 it would be rounded away
        self.old = past.without(self.chosen).beside(stage.model)
        self.deltas = neurons.attach(stage.model, self.chosen, past)
        return stage.model

    @contextmanager
    def running(self, model):
        with self.old.applied(model), self.deltas.applied(model):
            yield

    def leak(self, model, before):
        """Trained entries of protected neurons, by their numbers: written means leaked."""
        if not self.guarded:
            return None
        return self.deltas.change_norms(before, self.guarded)

    def end(self, stage):
        from implicit_sparsity import neurons

        total = self.old.joined_with(self.deltas)
        written = self.chosen if self.protect else {}
        protected = neurons.union(self.guarded, self.claimed, written)
        return total.to_state() | {f"protected.{layer}": index for layer, index in protected.items()}

    def save(self, stage, folder):
        self.old.joined_with(self.deltas).save_as_lora(stage.model, folder)
