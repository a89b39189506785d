"""B, orthogonal subspace mapping: a new domain's update does not see what old domains' tokens span.

Each stage trains a LoRA of its own, dW = alpha / rank * B A, with A U = 0 after *every* optimizer step,
where the columns of U span the old domains' inputs of that weight. So dW x = 0 for their inputs (Gradient
Projection Memory, 2103.09762; on LoRA: InfLoRA 2404.00228). Projecting the gradient would not do: Adam
rescales it element by element, out of the subspace.

The stage's adapter is the sum of all stages' LoRAs, stacked into one of rank stage * rank that PEFT alone
loads. Known to deviate from GPM: the subspace comes from inputs of completions and prompts alike, and is
grown after, not during, a stage.
"""

from dataclasses import dataclass

from implicit_sparsity.errors import InputError

from .base import LoraMethod, option


@dataclass
class Orthogonal(LoraMethod):
    """LoRA whose every step is re-projected off the old domains' input subspaces."""

    strength: float = option(
        1.0, low=0, high=1, help="share of the forbidden part that is taken out; 0: plain LoRA"
    )
    energy: float = option(
        0.95, low=0, high=1, help="share of an old domain's input energy that is protected"
    )
    max_rank: int = option(64, low=1, help="most directions a domain may claim in each weight's input")
    sample_tokens: int = option(512, low=1, help="tokens of the select split that a subspace is read from")

    constrained = True

    def begin(self, stage):
        self.bases = stage.previous_state() if self.strength else {}
        if not self.bases:
            return super().begin(stage)
        from implicit_sparsity import lowrank

        stage.keep_previous()
        model = self.new_adapter(stage)
        self.bases = lowrank.beside(self.bases, model)
        self.step(model)  # A starts inside the allowed space, or its first update would be outside
        for name, factor in lowrank.factors(model).items():
            if factor.views[0].norm() < 1e-4:
                raise InputError(
                    f"no direction is left free in the input of {name}: lower energy or max_rank"
                )
        return model

    def step(self, model):
        from implicit_sparsity import lowrank, subspace

        if self.bases:
            for name, factor in lowrank.factors(model).items():
                subspace.project_out(factor, self.bases[name], self.strength)

    def snapshot(self, model):
        from implicit_sparsity import lowrank

        return lowrank.snapshot(model)

    def leak(self, model, before):
        from implicit_sparsity import lowrank

        if not self.bases or self.strength < 1:
            return None
        return lowrank.change_norms(model, before, self.bases)

    def end(self, stage):
        """The old subspaces, grown by this domain's inputs."""
        from implicit_sparsity import lowrank, subspace

        if not self.strength:
            return {}
        found = lowrank.factors(stage.model)
        samples = subspace.input_samples(stage.model, stage.select_batches(self.sample_tokens), found)
        grown, done = {}, {}
        for name, x in samples.items():  # weights that read the same input share one basis
            if id(x) not in done:
                seed = stage.stream("subspace", name)
                old = self.bases.get(name)
                done[id(x)], _ = subspace.extend(old, x, self.energy, self.max_rank, seed)
            grown[name] = done[id(x)]
        return grown

    def save(self, stage, folder):
        if self.bases:
            stage.save_stacked(folder)
        else:
            super().save(stage, folder)
