"""Hold routers to what they decided, where a layer is computed again.

A router gives (logits [T, X], weights [T, K], chosen experts [T, K]); its weights follow from the other two
in one of three ways, see ``shares``. Shapes: T tokens, X routed experts, K of them a token.
"""

from contextlib import ExitStack, contextmanager, nullcontext

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.ffn import base_layer, feed_forwards


class SteadyRouting:
    """Routers decide once: a layer computed again for the backward pass uses the experts of the forward pass.

    Recomputed router inputs may differ in the last bits, and a token then flips to another expert, whose
    gradient would be that of a network that was never run (transformers #47467). ``contexts`` goes to
    ``torch.utils.checkpoint``; ``decisions`` counts tokens times routers, ``flips`` those that would have
    gone elsewhere.
    """

    def __init__(self, model):
        self.model, self.again, self.decisions, self.flips = model, False, 0, 0
        self.decided = []  # per router, the choices of forward passes whose backward pass is still to come

    def contexts(self):
        return nullcontext(), self._recomputing()

    @contextmanager
    def _recomputing(self):
        self.again = True
        try:
            yield
        finally:
            self.again = False

    @contextmanager
    def holding(self):
        """Hook the routers."""
        with ExitStack() as stack:
            for block in feed_forwards(self.model):
                if block.experts:
                    self.decided.append([])
                    router = base_layer(block.router)
                    stack.callback(router.register_forward_hook(self._hook(self.decided[-1])).remove)
            yield self

    def forget(self) -> None:
        """Before a step: what an earlier step's forward passes chose is of no use any more."""
        for choices in self.decided:
            choices.clear()

    def counts(self) -> dict:
        """{router_decisions, router_flips} of all recomputations so far."""
        return {"router_decisions": self.decisions, "router_flips": int(self.flips)}

    def restore(self, counts: dict) -> None:
        self.decisions, self.flips = counts["router_decisions"], counts["router_flips"]

    def _hook(self, decided: list):
        known = []  # once it has been seen that ``shares`` are this router's

        def hook(router, args, output):
            logits, weights, chosen = output
            if not known:
                known.append(check_shares(router, logits, weights, chosen))
            if self.again:
                before = decided.pop()  # the last forward pass is the first to be computed again
                flipped = (before.sort(-1).values != chosen.sort(-1).values).any(-1)
                self.decisions, self.flips = self.decisions + len(chosen), self.flips + flipped.sum()
                chosen = before
            elif torch.is_grad_enabled():
                decided.append(chosen.detach())
            # both passes take the same operations: checkpointing compares what they save for the gradient
            return logits, shares(router, logits, chosen).to(weights.dtype), chosen

        return hook


def shares(router, logits, chosen):
    """The weights [T, K] of chosen experts from a router's logits [T, X], float32: of DeepSeek-V3 and those
    like it the sigmoid, with a factor; of all others the softmax. The chosen ones add up to 1 (to the factor)
    unless the router's ``norm_topk_prob`` says otherwise, or it is DeepSeek-V2's."""
    sigmoid = hasattr(router, "e_score_correction_bias")
    scores = logits.float().sigmoid() if sigmoid else torch.softmax(logits, dtype=torch.float, dim=-1)
    result = scores.gather(-1, chosen)
    if getattr(router, "norm_topk_prob", not hasattr(router, "topk_method")):
        result = result / (result.sum(-1, keepdim=True) + (1e-20 if sigmoid else 0))
    factor = getattr(router, "routed_scaling_factor", 1.0)
    return result if factor == 1.0 else result * factor


def check_shares(router, logits, weights, chosen) -> bool:
    """True; InputError where a router's weights are not its ``shares``: another kind of router."""
    with torch.no_grad():
        ours = shares(router, logits, chosen)
        room = 4 * torch.finfo(weights.dtype).eps * float(ours.abs().max())
        if not torch.allclose(weights.float(), ours, rtol=0, atol=max(room, 1e-6)):
            raise InputError(
                f"{type(router).__name__} weighs experts in a way that cannot be held to its choices",
                key="training.gradient_checkpointing",
            )
    return True
