"""Curvature: the update has no entry where old domains' loss is curved, in the eigenbasis of their K-FAC.

For each adapted weight, A = E[x x'] of its inputs and G = E[g g'] of its outputs' gradients (labels sampled
from the model, so A (x) G approximates the Fisher information) come from each old domain's select documents
after its stage; they are summed over domains. The entries (j, k) of U_G' dW U_A with the largest curvature
lambda_G,j * lambda_A,k, which together hold the share ``energy`` of all of it, are zeroed: CrispEdit's
low-curvature projection (2602.15823) on a LoRA.

Zeroed entries form a staircase, as eigenvalues descend. A projected low-rank dW has no low rank any more, so
each rank of dW = alpha / rank * sum_p B_p A_p gets one corner (J_p, K_p) of it, evenly spread: B_p is kept
orthogonal to the J_p leading eigenvectors of G, A_p to the K_p leading ones of A. So the zeroed entries are
exactly zero after every optimizer step, by projecting factors alone; J_p = 0 is the input null space of
``orthogonal``, K_p = 0 the output's. Not every allowed update of this rank can be written, no other one can.

Each stage has its own LoRA, saved stacked as in ``orthogonal``, which PEFT alone loads. Only ``max_rank``
eigenvectors a side are kept; all others count with an upper bound of their eigenvalues, and less than
``energy`` is held where they do not suffice (the log says how much). No moment matrix is formed: the largest
decomposition is of the sampled tokens' rows (577 x 17,408: 3 s on one core). State, however many domains: at
most 4 (max_rank + 1) (i + o) bytes a weight, gate and up sharing their input: 1.0 GB for 64 layers of hidden
5,120 and 17,408 neurons at 64. While it is measured, 4 * sample_tokens * (i + o) a weight: 8 GB there at 512.

Deviates: sums of A and of G over domains, not of their products; CrispEdit projects dense weights of a few
layers. Routed experts and routers are no linear layers: a mixture trains its shared expert alone (and with
``targets: all`` its other linear layers), and the log says so. The control has random eigenvectors with the
same eigenvalues: equally many entries are zeroed.
"""

from dataclasses import dataclass

from implicit_sparsity.models import adapters, lowrank
from implicit_sparsity.options import option
from implicit_sparsity.updates import curvature_mask, energy_report, kfac

from .base import LoraMethod


@dataclass
class Curvature(LoraMethod):
    """LoRA whose every step is re-projected off the entries that old domains' loss is curved in."""

    targets: str = option("mlp", choices=("all", "mlp"), help="linear layers: all, or those of the FFN alone")
    energy: float = option(
        0.9, above=0, high=1, help="share of old domains' curvature on entries that are zeroed"
    )
    max_rank: int = option(64, low=1, help="eigenvectors kept of each side of a weight")
    sample_tokens: int = option(512, low=1, help="tokens of the select split that curvature is read from")
    basis: str = option("measured", choices=("measured", "random"), help="random: the control")
    router: bool = option(False, choices=(False,), help="routers are no linear layers")

    CONTROLS = {"random": {"basis": "random"}}
    STACKED = True
    REFUSES = (("all_routed", {"targets": "mlp"}, "the FFN has no linear layer; targets: all has"),)
    constrained = True

    def new_adapter(self, stage):
        stage.seed_everything("initialisation")
        return adapters.add_linear_lora(
            stage.model, self.rank, self.alpha, self.targets, dropout=self.dropout
        )

    def begin(self, stage):
        self.state, self.masks = stage.previous_state(), {}
        if not self.state:
            return self.new_adapter(stage)
        stage.keep_previous()
        model = self.new_adapter(stage)
        devices = {name: factor.weights[0].device for name, factor in lowrank.factors(model).items()}
        self.masks = self.build(stage, devices)
        self.step(model)  # A starts where it may stay
        return model

    def build(self, stage, devices: dict) -> dict:
        """The mask of each adapted weight, on its device."""
        seeds = (lambda *names: stage.stream("eigenbasis", *names)) if self.basis == "random" else None
        options = {"energy": self.energy, "max_rank": self.max_rank, "rank": self.rank, "seeds": seeds}
        return curvature_mask.build(self.state, devices, options)

    def protected(self, stage, changes):
        """Eigenvectors of old inputs, each by the share of the outputs' curvature that it is zeroed for."""
        self.state = stage.previous_state()
        names = [name.removesuffix(f".{kfac.INPUTS}") for name in self.state if name.endswith(kfac.INPUTS)]
        masks = self.build(stage, dict.fromkeys(names, "cpu"))
        return {name: mask.protected(self.state[f"{name}.{kfac.TRACES}"]) for name, mask in masks.items()}

    def report(self):
        if not self.masks:
            return {}
        held = {name: mask.held for name, mask in self.masks.items()}
        return {"curvature_held": energy_report.reached(held, self.energy, "max_rank")}

    def step(self, model):
        if self.masks:
            for name, factor in lowrank.factors(model).items():
                self.masks[name].project(factor)

    def snapshot(self, model):
        return lowrank.snapshot(model)

    def constraint_violation(self, model, before):
        return curvature_mask.change_norms(model, before, self.masks) if self.masks else None

    def end(self, stage):
        """Old domains' moments, and this one's."""
        modules = {name: factor.module for name, factor in lowrank.factors(stage.model).items()}
        batches = stage.select_batches(self.sample_tokens)
        again = stage.training.get("gradient_checkpointing", False)
        new = kfac.measure(stage.model, batches, modules, self.max_rank, stage.stream("labels"), again)
        return kfac.add(self.state, new, self.max_rank)

    def save(self, stage, folder):
        if self.masks:
            stage.save_stacked(folder)
        else:
            super().save(stage, folder)
