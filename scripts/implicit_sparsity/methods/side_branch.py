"""K new feed-forward neurons beside each layer: nothing old is written at all.

They start as copies of the neurons that the new domain uses most, chosen as ``activation_mask`` does but
without protection, with down at zero. A product of two maps of the input is no change of any one weight, so
no adapter of PEFT's can hold it: a stage leaves the whole model, K neurons wider (of a mixture the shared
expert, under its gate; there the copies see every token). K is the same at every stage: a share of the base's
neurons. The parameter audit holds the method to its promise.

``choose`` names the controls as in ``activation_mask``: they grow as many neurons from other copies. State:
8 bytes, and for ``hub`` 4 bytes a neuron.
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.options import option
from implicit_sparsity.updates import neuron_branch, neuron_choice

from .base import Method


@dataclass
class SideBranch(Method):
    """Train copies of the new domain's most active neurons, beside the layer."""

    fraction: float = option(0.03, above=0, high=1, help="new neurons of a stage: share of the base's layer")
    learning_rate: float = option(
        5e-4, low=0, high=1, help="these are weights, not factors: smaller than LoRA's"
    )
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that activity is read from")
    choose: str = option(
        "active", choices=("active", "random", "least", "hub", "weight"), help="neurons that are copied"
    )

    TRAINS = "neurons"
    UNQUANTIZED = True
    CONTROLS = {
        "random": {"choose": "random"},
        "least_active": {"choose": "least"},
        "hubs": {"choose": "hub"},
        "largest_weight": {"choose": "weight"},
    }
    REFUSES = (
        ("fused", {}, "new neurons cannot be put behind gate and up that are one weight"),
        ("biased", {}, "new neurons would need biases"),
        ("mixed", {}, "layers of several widths cannot all grow by one number of the configuration"),
        ("unshared", {}, "there is no expert that every token reads, to put new neurons beside"),
        ("counted", {}, "the shared expert's width is no number of the configuration"),
    )
    adapter = False

    def begin(self, stage):
        before = stage.previous_state()
        used = neuron_choice.activity(stage.model, stage.select_documents(), self.sample_tokens)
        self.width = int(before.get("width", used.shape[1]))  # of the base, before any branch
        self.ranks = neuron_choice.worst_ranks(used, before.get("ranks"))
        scores = neuron_choice.scores(self.choose, used, stage.model, stage.stream("mask"), self.ranks)
        self.chosen = neuron_choice.choose(scores, self.fraction, {}, self.width)
        self.branch = neuron_branch.attach(stage.model, self.chosen)
        return stage.model

    def running(self, model):
        return self.branch.applied(model)

    def end(self, stage):
        state = {"ranks": self.ranks} if self.choose == "hub" else {}
        return state | {"width": torch.tensor(self.width)}

    def save(self, stage, folder):
        self.branch.save(stage.model, folder, stage.training.get("precision", "fp32"))
