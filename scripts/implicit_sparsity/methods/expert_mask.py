"""Train only the experts of a mixture that the new domain is routed to (ESFT, Wang et al. 2407.01906).

Per layer and routed expert, over documents d of the select split with T_d tokens (K experts a token):

    share  r_e = mean_d 1/T_d sum_t 1[t goes to e] / K        (token selection ratio, equation 8)
    gate   r_e = mean_d 1/T_d sum_t g_e(t)                    (mean gate score, equation 7)

and the fewest experts whose r_e add up to at least p of the layer's are trained: here their slices of one
LoRA on the fused weights (A [E * r, in], B [out, r * E], continued from stage to stage). The gradients of all
other slices are masked before clipping and the slices put back after each step, so that AdamW's decay does
not move them either. Router and shared expert are frozen, as in the paper.

State: the chosen experts of this stage, 8 bytes each, at most 8 * L * E. Known to deviate: ESFT trains the
experts' full weights and one task; r_e is measured on the model as it then is, with earlier stages' LoRA. The
factors of all experts are held (and AdamW's moments of them), though those of chosen ones alone move.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import lowrank
from implicit_sparsity.models.protected import Protected
from implicit_sparsity.options import option
from implicit_sparsity.updates import expert_selection

from .base import LoraMethod


def select_experts(scores, p: float) -> list[list[int]]:
    """Per layer the fewest experts, most used first (ties: the lower index), whose share of that layer's
    score reaches ``p``; scores [L, E], not negative. Without any score a layer gets none; p = 1: all with
    one.

    InputError for scores that are no such table and for p outside (0, 1].
    """
    try:
        table = np.asarray(scores)
        wide = table.astype(np.float64)
        p = float(p)
    except (TypeError, ValueError):
        raise InputError("scores are a table of numbers [layers, experts], p is a number") from None
    if wide.ndim != 2 or not wide.shape[1] or not np.isfinite(wide).all() or (wide < 0).any():
        raise InputError("scores are finite numbers from 0 on, [layers, experts], one expert at least")
    if not 0 < p <= 1:
        raise InputError(f"p = {p:g} is not in (0, 1]", key="p")
    # 0.5 + 0.3 misses 0.8 by rounding alone; how far off a share may be is the precision it came in
    given = table.dtype if table.dtype.kind == "f" else np.dtype(np.float64)
    slack = 4 * np.finfo(given).eps + wide.shape[1] * np.finfo(np.float64).eps
    chosen = []
    for row in wide:
        order = np.argsort(-row, kind="stable")
        held = np.cumsum(row[order] / max(row.max(), np.finfo(np.float64).tiny))
        used = int((row > 0).sum())
        count = used if p == 1 else min(used, 1 + int((held < (p - slack) * held[-1]).sum()))
        chosen.append(order[:count].tolist())
    return chosen


@dataclass
class ExpertMask(LoraMethod):
    """LoRA on the experts that hold the share ``p`` of the new domain's routing."""

    targets: str = option("mlp", choices=("mlp",), help="the routed experts")
    router: bool = option(False, choices=(False,), help="ESFT leaves the routers alone")
    p: float = option(0.2, above=0, high=1, help="share of a layer's routing that the trained experts hold")
    score: str = option("share", choices=("share", "gate"), help="tokens routed, or the router's weights")
    choose: str = option("routing", choices=("routing", "random"), help="random: equally many, drawn")
    sample_tokens: int = option(1024, low=1, help="tokens of the select split that routing is read from")

    ROUTED = True
    REFUSES = (("dense", {}, "a dense network has no experts to choose among"),)
    CONTROLS: ClassVar[dict] = {"random": {"choose": "random"}}
    constrained = True
    exact = True

    def begin(self, stage):
        model = super().begin(stage)
        usage = expert_selection.usage(model, stage.select_batches(self.sample_tokens), self.score)
        self.chosen = select_experts(usage.numpy(), self.p)
        if self.choose == "random":
            self.chosen = expert_selection.random_choice(self.chosen, usage.shape[1], stage.stream("experts"))
        self.slices = expert_selection.Slices(model, self.chosen)
        return model

    @contextmanager
    def running(self, model):
        with self.slices.masked():
            yield

    def step(self, model):
        self.slices.put_back()

    def snapshot(self, model):
        return lowrank.snapshot(model)

    def constraint_violation(self, model, before):
        """What changed in experts that were not chosen."""
        return lowrank.expert_change_norms(model, before, self.slices.trained)

    def protected(self, stage, changes):
        """All inputs of the experts that this stage did not write."""
        return {
            name: Protected((change.matrix().flatten(1) == 0).all(1, keepdim=True).double())
            for name, change in changes.items()
            if ".experts." in name
        }

    def end(self, stage):
        return {f"experts.{layer}": torch.tensor(experts) for layer, experts in enumerate(self.chosen)}
