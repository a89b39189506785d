"""Selective writing: the neurons that are the new domain's own take the step, those in use elsewhere less of
it.

After sparse memory fine-tuning (Lin et al. 2510.15103), with FFN neurons as memory slots. On the new domain's
select split a neuron i of a layer scores

    TF-IDF_i = c_i / sum_j c_j * log((B + 1) / (found_i + 1)),    c_i = sum |h_i|

B: the groups of documents (``groups`` a domain) of all old domains, found_i: those of them in which i was
accessed, that is among the share ``accessed`` of its layer most in use. The share ``fraction`` that scores
highest is trained: rows of gate and up, columns of down, 3 * K * hidden numbers a layer. Of every real step
of the optimizer a neuron takes

    gate_i = 1 - max over old domains of (their groups in which i was accessed) / (their groups)

so none of it where an old domain always uses it. Scaling the gradient would do nothing: AdamW cancels it.

Deviates: h is dense, so access is a top share and c a sum of |h|; the background is old domains, not
pretraining data, and without one (first stage) the score is tf alone, every gate 1; neurons are chosen once a
stage, not each batch; the gate is science.md's, the paper's is 0 or 1. Use is as it was when a domain's stage
began. Promises nothing, so there is no constraint audit: old domains' neurons are written less, not spared.

``choose: random`` is the control: as many neurons drawn at random, with the same gates shuffled, so the same
trained numbers and the same mass of gates in every layer. Saved as a LoRA as ``activation_mask`` does. State:
(12 H + 8) bytes a neuron written, and 8 bytes a neuron of the model, however many domains.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from implicit_sparsity.options import option
from implicit_sparsity.updates import neuron_choice, neuron_deltas, neuron_gates

from .base import Method


@dataclass
class SelectiveWrite(Method):
    """Train the neurons of highest TF-IDF, each by 1 - old use."""

    fraction: float = option(0.03, above=0, high=1, help="share of each layer's neurons that a stage writes")
    accessed: float = option(
        0.1, above=0, high=1, help="most active neurons that a group of documents accesses"
    )
    groups: int = option(16, low=1, help="groups of documents that a domain's use is counted over")
    sample_tokens: int = option(4096, low=1, help="tokens of the select split that use is read from")
    choose: str = option("tfidf", choices=("tfidf", "random"), help="which neurons, and whose gate is whose")
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )

    TRAINS = "neurons"
    CONTROLS = {"random": {"choose": "random"}}

    def begin(self, stage):
        state = stage.previous_state()
        past, self.background = (
            neuron_deltas.Deltas.from_state(state),
            neuron_gates.Background.from_state(state),
        )
        with past.beside(stage.model).applied(stage.model):
            sums = neuron_choice.grouped_activity(
                stage.model, stage.select_documents(), self.sample_tokens, self.groups
            )
        self.used = neuron_gates.accessed(sums, self.accessed)
        self.chosen = neuron_choice.choose(self.background.scores(sums), self.fraction, {})
        self.gates = neuron_gates.gates(self.background.use, self.chosen)
        if self.choose == "random":
            seed = stage.stream("mask")
            self.chosen, self.gates = neuron_gates.shuffled(self.gates, neuron_choice.sizes(sums[0]), seed)
        # what earlier stages wrote stays beside the weights: added to bfloat16 it would be rounded away
        self.old = past.without(self.chosen).beside(stage.model)
        self.deltas = neuron_deltas.attach(stage.model, self.chosen, past)
        self.gated = neuron_gates.GatedStep(self.deltas, self.gates)
        return stage.model

    @contextmanager
    def running(self, model):
        with self.old.applied(model), self.deltas.applied(model):
            yield

    def gradients(self, model):
        self.gated.before()

    def step(self, model):
        self.gated.after()

    def end(self, stage):
        written = self.old.joined_with(self.deltas).to_state()
        return written | self.background.with_domain(self.used).to_state()

    def save(self, stage, folder):
        self.old.joined_with(self.deltas).save_as_lora(stage.model, folder)
