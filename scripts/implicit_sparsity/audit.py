"""What was trained and what was not: the census and the leak audit that every stage has to pass.

A projected *gradient* is not a projected *step* (Adam rescales it element by element, weight decay moves
masked weights), so both look at the parameters themselves, before and after the real step of the optimizer.
"""

import math

STEPS_TO_JUDGE = 3  # one factor of a LoRA has no gradient before the other has left zero


class StageFailed(RuntimeError):
    """A stage broke its promise: a declared parameter was never reached, a frozen one moved, a step
    leaked."""


class Audit:
    """Follows one stage; what it has seen survives a resume (``state`` / ``restore``)."""

    def __init__(self, model, method, tolerance: float):
        self.model, self.method, self.tolerance = model, method, tolerance
        self.trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.trainable:
            raise StageFailed("the method declares no trainable parameter")
        self.frozen = self._frozen()
        self.first = method.snapshot(model)
        self.before, self.leaks, self.steps = None, [], 0
        self.reached, self.touched = set(), set()  # had a gradient at all; had one that is not all zero

    def state(self) -> dict:
        seen = {"reached": sorted(self.reached), "touched": sorted(self.touched)}
        return seen | {"leaks": self.leaks, "steps": self.steps}

    def restore(self, state: dict) -> None:
        self.reached, self.touched = set(state["reached"]), set(state["touched"])
        self.leaks, self.steps = list(state["leaks"]), state["steps"]

    def before_step(self, step: int) -> None:
        """After backward and clipping: every gradient finite, and who has received one."""
        import torch

        self.steps += 1
        for name, p in self.trainable.items():
            if p.grad is None:
                continue
            self.reached.add(name)
            if not torch.isfinite(p.grad).all():
                raise StageFailed(f"step {step + 1}: the gradient of {name} is not finite")
            if name not in self.touched and p.grad.any():
                self.touched.add(name)
        self.before = self.method.snapshot(self.model) if self.method.constrained else None

    def after_step(self) -> float | None:
        """||P dW|| / ||dW|| of the step just taken; None where nothing is promised."""
        norms = self.method.leak(self.model, self.before) if self.method.constrained else None
        if norms is not None:
            self.leaks.append(_share(norms))
        return self.leaks[-1] if norms is not None else None

    def close(self) -> dict:
        """The audit of the whole stage; raises StageFailed where a promise was broken."""
        total = self.method.leak(self.model, self.first) if self.method.constrained else None
        leak_total = _share(total) if total is not None else None
        leak_max = max(self.leaks, default=None)
        moved = [name for name, value in self._frozen().items() if value != self.frozen.get(name)]
        missed = sorted(set(self.trainable) - (self.reached if self.steps < STEPS_TO_JUDGE else self.touched))
        if missed:
            raise StageFailed(f"{len(missed)} declared parameters got no gradient, the first is {missed[0]}")
        if moved:
            raise StageFailed(f"{len(moved)} frozen parameters moved, the first is {moved[0]}")
        for what, leak in (("a step", leak_max), ("the stage", leak_total)):
            if leak is not None and not leak <= self.tolerance:
                raise StageFailed(
                    f"{what} wrote {leak:.2e} of its norm where it must not (limit {self.tolerance:g})"
                )
        return {
            "leak_max_step": leak_max,
            "leak_total": leak_total,
            "leak_steps_audited": len(self.leaks),
            "tolerance": self.tolerance,
            "trainable_tensors": len(self.trainable),
            "trainable_parameters": sum(p.numel() for p in self.trainable.values()),
            "frozen_tensors": len(self.frozen),
            "without_gradient": len(missed),
            "frozen_moved": len(moved),
        }

    def _frozen(self) -> dict:
        """A checksum of every frozen parameter: the sum of its bits, read as integers."""
        import torch

        kinds = {4: torch.int32, 2: torch.int16, 8: torch.int64, 1: torch.int8}
        with torch.no_grad():
            return {
                name: int(p.detach().contiguous().view(kinds[p.element_size()]).sum(dtype=torch.int64))
                for name, p in self.model.named_parameters()
                if not p.requires_grad
            }


def _share(norms) -> float:
    leaked, total = norms
    return leaked / total if total > 0 else (0.0 if leaked == 0 else math.inf)
