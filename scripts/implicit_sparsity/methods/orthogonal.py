"""B, orthogonal subspace mapping: a new domain's update does not see what old domains' tokens span.

Each stage trains a LoRA of its own, dW = alpha / rank * B A, with A U = 0 after *every* optimizer step,
where the columns of U [i, k] span what is old in that weight's input [i]. So dW x = 0 for old inputs x.

``form`` projected: A <- A - (A U) U' after each step. Projecting the gradient would not do: Adam rescales it
element by element, out of the subspace. ``frozen`` (InfLoRA, 2404.00228): A is fixed, the leading directions
of the new domain's inputs outside U, and B alone trains: half the parameters, nothing to project.

``subspace`` inputs: leading right singular vectors of old inputs (Gradient Projection Memory, 2103.09762),
of all tokens but each document's first, an attention sink whose own direction U holds besides; gradients:
of old documents' weight gradients G [o, i], seen from the input side (OGD, 1910.07104; weights that read
one input then share no U); random: the control, as many random directions as inputs would give.

The stage's adapter is the sum of all stages' LoRAs, stacked into one of rank stage * rank that PEFT alone
loads. State: an orthonormal U for each input (or weight), at most ``max_rank`` columns of float32 more a
stage, and those of first tokens (one under a template); for random the input subspace, from which ranks are
read. Known to deviate: from GPM, inputs of prompts count too, and U grows after, not during, a stage; from
OGD, only the input side of a gradient is kept; from InfLoRA, the first domain's A stays fixed as well, and
dW has LoRA's factor alpha / rank.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import lowrank
from implicit_sparsity.models.protected import whole_subspace
from implicit_sparsity.options import option
from implicit_sparsity.randomness import stream_seed
from implicit_sparsity.updates import energy_report, subspace

from .base import LoraMethod


@dataclass
class Orthogonal(LoraMethod):
    """LoRA whose every step stays outside the old domains' subspaces."""

    strength: float = option(
        1.0, low=0, high=1, help="share of the forbidden part that is taken out; 0: plain LoRA"
    )
    energy: float = option(
        0.95,
        above=0,
        high=1,
        help="share of an old domain's input energy that is protected, of sample_tokens, first tokens aside",
    )
    max_rank: int = option(
        1024, low=1, help="most directions a domain may claim in each weight's input; it wins over energy"
    )
    sample_tokens: int = option(
        4096, low=1, help="tokens of the select split that a subspace is read from: several times the width"
    )
    form: str = option(
        "projected", choices=("projected", "frozen"), help="project A after each step, or train B alone"
    )
    subspace: str = option(
        "inputs", choices=("inputs", "gradients", "random"), help="what of old domains is protected"
    )
    fixed_rank: int = option(0, low=0, help="directions that each domain claims; 0: as many as energy needs")

    AT_MOST: ClassVar[dict] = {"fixed_rank": "max_rank"}
    ONLY: ClassVar[dict] = {"strength": {"form": {"frozen": (0, 1)}}}  # a frozen A avoids all, or nothing
    CONTROLS: ClassVar[dict] = {"random": {"subspace": "random"}}
    CAP = ("max_rank", 0.25)  # 0.95 of 32 documents' energy took 0.2 to 0.5 of most inputs in SmolLM2-135M
    STACKED = True
    constrained = True

    def __post_init__(self):
        super().__post_init__()
        self.reached = {}

    def begin(self, stage):
        self.known = self.bases = stage.previous_state() if self.strength else {}
        if not self.known and not (self.form == "frozen" and self.strength):
            return super().begin(stage)
        if self.known:
            stage.keep_previous()
        model = self.new_adapter(stage)
        self.known = self.bases = lowrank.beside(self.known, model)
        if self.subspace == "random":
            self.bases = self.random_bases(stage)
        if self.form == "frozen":
            self.freeze(stage, model)
        self.project(model)  # A starts inside the allowed space, or its first update would be outside
        for name, factor in lowrank.factors(model).items():
            if factor.views[0].norm() < 1e-4:
                raise InputError(
                    f"no direction is left free in the input of {name}: lower energy or max_rank"
                )
        return model

    def random_bases(self, stage) -> dict:
        """For each known subspace a random one of its rank, the same at every stage as far as it goes."""
        drawn = {}
        for name, basis in self.known.items():  # what shares one basis goes on sharing one
            if id(basis) not in drawn:
                seed = stream_seed(stage.seed, "random subspace", name)
                drawn[id(basis)] = subspace.random_like(basis, seed)
        return {name: drawn[id(basis)] for name, basis in self.known.items()}

    def freeze(self, stage, model) -> None:
        """A: the leading directions of the new domain's inputs outside the old subspace, and fixed."""
        factors = lowrank.factors(model)
        samples = subspace.input_samples(model, stage.select_batches(self.sample_tokens), factors)
        for name, factor in factors.items():
            seed = stage.stream("directions", name)
            with torch.no_grad():
                rows = subspace.leading(samples[name], self.bases.get(name), self.rank, seed)
                factor.views[0].copy_(rows)
            factor.weights[0].requires_grad_(False)

    def project(self, model) -> None:
        if self.bases:
            subspace.project_out(lowrank.factors(model), self.bases, self.strength)

    def step(self, model):
        if self.form == "projected":
            self.project(model)

    def snapshot(self, model):
        return lowrank.snapshot(model)

    def constraint_violation(self, model, before):
        if not self.bases or self.strength < 1:
            return None
        return lowrank.change_norms(model, before, self.bases)

    def end(self, stage):
        """The old subspaces, grown by what this domain adds."""
        if not self.strength:
            return {}
        first, samples = self.samples(stage, lowrank.factors(stage.model))
        grown, done, reached = {}, {}, {}
        for name, x in samples.items():  # weights that read the same input share one basis
            if id(x) not in done:
                seed, basis = stage.stream("subspace", name), self.known.get(name)
                if first:  # apart: of all energy they have most, and the others would be left with little
                    basis, _ = subspace.extend(basis, first[name], self.energy, self.max_rank, seed)
                rule = (self.energy, self.max_rank, seed, self.fixed_rank)
                done[id(x)] = subspace.extend(basis, x, *rule)
            grown[name], reached[name] = done[id(x)]
        wanted = None if self.fixed_rank else self.energy
        self.reached = energy_report.reached(reached, wanted, "max_rank")
        return grown

    def samples(self, stage, factors) -> tuple[dict, dict]:
        """(inputs of first tokens, inputs or gradients of this domain's select split), each {name: [X or 1,
        T, i]}; the first is empty of gradients."""
        model, tokens = stage.model, self.sample_tokens
        if self.subspace == "gradients":
            documents, seed = stage.select_batches(tokens, batch_tokens=1), stage.stream("gradients")
            return {}, subspace.gradient_samples(model, documents, factors, self.max_rank, seed)
        batches = list(stage.select_batches(tokens))
        first = subspace.input_samples(model, subspace.first_tokens(batches), factors, skip_first=0)
        return first, subspace.input_samples(model, batches, factors)

    def report(self):
        return {"subspace": self.reached} if self.reached else {}

    def protected(self, stage, changes):
        """The old domains' subspaces, of ``random`` those drawn in their place."""
        if self.strength < 1:
            return {}
        self.known = stage.previous_state()
        bases = self.random_bases(stage) if self.subspace == "random" else self.known
        return {name: whole_subspace(basis) for name, basis in bases.items()}

    def save(self, stage, folder):
        if self.known:
            stage.save_stacked(folder)
        else:
            super().save(stage, folder)
