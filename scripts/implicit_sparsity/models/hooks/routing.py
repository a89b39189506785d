"""Hold routers to what they decided, where a layer is computed again."""

from contextlib import ExitStack, contextmanager, nullcontext

import torch

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
                    gate = base_layer(block.mlp.gate)
                    stack.callback(gate.register_forward_hook(self._hook(self.decided[-1])).remove)
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
        def hook(gate, args, output):
            logits, weights, chosen = output
            if self.again:
                before = decided.pop()  # the last forward pass is the first to be computed again
                flipped = (before.sort(-1).values != chosen.sort(-1).values).any(-1)
                self.decisions, self.flips = self.decisions + len(chosen), self.flips + flipped.sum()
                chosen = before
            elif torch.is_grad_enabled():
                decided.append(chosen.detach())
            # both passes take the same operations: checkpointing compares what they save for the gradient
            shares = torch.softmax(logits, dtype=torch.float, dim=-1).gather(-1, chosen)
            return logits, (shares / shares.sum(-1, keepdim=True)).to(weights.dtype), chosen

        return hook
