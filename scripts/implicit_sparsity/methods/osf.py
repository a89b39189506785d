"""OSF, orthogonal subspace fine-tuning: large singular directions of a weight stay, small ones are trained.

Each stage takes an SVD of every linear layer's weight as the stage before left it,
W = U_high S_high V_high + U_low S_low V_low, and trains U_low [o, r], S_low [r], V_low [r, i] with gradients
projected off U_high and V_high (Nayak et al. 2504.07097; PEFT's OSF does both). ``keep`` is the share of
min(o, i) directions that stays at the first domain, and grows by ``grow`` with each further one: 0.3, 0.5,
0.7 as in PEFT's example of three tasks; the authors' (t - 1) / n needs n, the domains to come.

PEFT projects the gradient, but AdamW rescales it element by element, back into what should stay. With
``reproject`` U_low and V_low are projected again after the optimizer's step, and the constraint audit holds
every step to it (rounding to float32 alone writes 1.5e-9 / learning rate of a step there: below 2e-5 that
is more than 1e-4). ``osf_unprojected`` is PEFT's OSF as it is, which promises nothing.

A stage leaves a whole model. PEFT saves U_low, S_low, V_low alone and takes the rest from an SVD of the base
that it is loaded on, so from the second stage on its folder cannot be loaded on the first base, whose SVD is
another; and as a LoRA the sum of the changes has up to full rank: more numbers than the weights. Weights are
float32 in training; ``state.safetensors`` is empty, or with a bfloat16 base holds what rounding the saved
model lost, in bfloat16: 2 bytes for each number of the adapted weights, however many domains.

Deviates: every layer keeps the same share (the paper's layer importance is not in PEFT either). Routed
experts' fused weights and routers are not linear layers, PEFT's OSF passes them by, and so they stay frozen;
so do layers too small for two halves. The log says both. In training, about 24 bytes a weight; a stage begins
with an SVD of every one (2,048 x 2,048: 7 s on one core).
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, loading
from implicit_sparsity.options import option
from implicit_sparsity.updates import singular_subspaces

from .base import Method


@dataclass
class Osf(Method):
    """Train the small singular directions of every linear layer, in what is orthogonal to the large ones."""

    learning_rate: float = option(1e-4, low=0, high=1, help="of singular vectors: smaller than an adapter's")
    keep: float = option(
        0.3, low=0.01, high=0.99, help="share of singular directions that stays, first domain"
    )
    grow: float = option(0.2, low=0, high=1, help="added to it with each further domain")
    most: float = option(0.9, low=0.01, high=0.99, help="the share never exceeds this")
    targets: str = option("all", choices=("all", "mlp"), help="all linear layers, or those of the FFN alone")
    reproject: bool = option(True, help="project again after the optimizer's step, not the gradient alone")

    TRAINS = "all"
    UNQUANTIZED = True
    REFUSES = (("all_routed", {"targets": "mlp"}, "the FFN has no linear layer; targets: all has"),)
    CONTROLS = {"unprojected": {"reproject": False}}
    constrained = True
    adapter = False

    def __post_init__(self):
        super().__post_init__()
        self.constrained, self.watched = self.reproject, True

    def share(self, domains: int) -> float:
        """The share of directions that stays at the so many-th domain."""
        return min(max(self.most, self.keep), self.keep + self.grow * (domains - 1))

    def begin(self, stage):
        if stage.training.get("quantization", "none") != "none":
            raise InputError("singular vectors need unquantized weights", key="models.*.quantization")
        network = loading.fp32_master_weights(stage.model)
        weights = dict(network.named_parameters())
        for name, lost in stage.previous_state().items():
            weights[f"{name}.weight"].data += lost.to(weights[f"{name}.weight"].device)
        model = adapters.add_osf(network, self.share(len(stage.domains)), self.targets)
        self.layers = adapters.osf_layers(model)
        self.step(model)  # an SVD in float32 leaves 1e-6 of the one half in the other
        return model

    def step(self, model):
        if self.reproject:
            singular_subspaces.reproject(self.layers)

    def snapshot(self, model):
        return singular_subspaces.snapshot(self.layers)

    def constraint_violation(self, model, before):
        return singular_subspaces.change_norms(self.layers, before)

    def protected(self, stage, changes):
        """The large singular directions that stayed, as inputs."""
        if not self.reproject:
            return {}
        lost, share = stage.previous_state(), self.share(len(stage.domains))
        weights = {name: p.detach() for name, p in stage.model.named_parameters() if p.dim() == 2}
        return {
            name: singular_subspaces.high_inputs(weights[f"{name}.weight"], lost.get(name), share)
            for name in (f"model.{plain}" for plain in changes)
            if f"{name}.weight" in weights
        }

    def end(self, stage):
        """With a bfloat16 base, what the saved model's rounding loses: the next stage adds it back."""
        if stage.training.get("precision", "fp32") == "fp32":
            return {}
        weights = singular_subspaces.merged(self.layers)
        half = torch.bfloat16
        return {name: (weight - weight.to(half)).to(half) for name, weight in weights.items()}

    def save(self, stage, folder):
        stage.model = stage.model.merge_and_unload()
        loading.save(stage.model, folder, stage.training.get("precision", "fp32"))
