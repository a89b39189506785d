"""What was trained and what was not: the parameter audit and the constraint audit of every stage.

A projected *gradient* is not a projected *step* (Adam rescales it element by element, weight decay moves
masked weights), so both look at the parameters themselves, before and after the real step of the optimizer.
Where several processes hold the weights in parts, each looks at its own, and what they saw is put together.
"""

import math

import torch

from implicit_sparsity.models import ffn, processes

SUMMED_AT_ONCE = 2**26  # frozen numbers: a GPU widens what it sums to 8 bytes each
STEPS_TO_JUDGE = 3  # one factor of a LoRA has no gradient before the other has left zero


class StageFailed(RuntimeError):
    """A stage broke its promise: a declared parameter was never reached, a frozen one moved, a step
    wrote where it must not."""


class Audit:
    """Follows one stage; what it has seen survives a resume (``state`` / ``restore``)."""

    def __init__(self, model, method, tolerance: float):
        self.model, self.method = model, method
        self.tolerance = 0.0 if method.exact else tolerance
        self.watched = method.constrained or method.watched
        if self.watched and processes.world() > 1:
            raise StageFailed(
                "the constraint audit needs whole weights, these lie in parts on several processes"
            )
        self.trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.trainable:
            raise StageFailed("the method declares no trainable parameter")
        self.frozen = self._frozen() if processes.world() == 1 else {}
        self.first = method.snapshot(model) if self.watched else None
        self.before, self.constraint_violations, self.steps = None, [], 0
        self.reached, self.touched = set(), set()  # had a gradient at all; had one that is not all zero
        self.visited = {}  # of each tensor on fused experts, bool [rows]: those that had a gradient
        self.routing = None  # hooks.SteadyRouting, where gradients are checkpointed

    def follow(self, model) -> None:
        """Look at the parameters that a model has since its weights lie in parts on several processes."""
        self.trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.frozen = self._frozen()

    def state(self) -> dict:
        self._agree()
        seen = {"reached": sorted(self.reached), "touched": sorted(self.touched)}
        visited = {name: rows.tolist() for name, rows in self.visited.items()}
        counts = self.routing.counts() if self.routing else {}
        return seen | {
            "constraint_violations": self.constraint_violations,
            "steps": self.steps,
            "visited": visited,
            "routing": counts,
        }

    def restore(self, state: dict) -> None:
        self.reached, self.touched = set(state["reached"]), set(state["touched"])
        self.constraint_violations, self.steps = list(state["constraint_violations"]), state["steps"]
        now = dict(self.model.named_parameters())
        self.visited = {
            name: torch.tensor(rows, device=now[name].device) for name, rows in state["visited"].items()
        }
        if self.routing:
            self.routing.restore(state["routing"])

    def before_step(self, step: int) -> None:
        """After backward and clipping: every gradient finite, and who has received one."""
        self.steps += 1
        given = {name: processes.local(p.grad) for name, p in self.trainable.items() if p.grad is not None}
        self.reached.update(given)
        finite = not given or torch.stack(torch._foreach_norm(list(given.values()))).isfinite().all()
        if any(processes.largest([not finite])):  # or the other processes would wait for this one
            bad = next((n for n, gradient in given.items() if not gradient.isfinite().all()), "all, in sum,")
            raise StageFailed(f"step {step + 1}: the gradient of {bad} is not finite")
        self.touched.update(
            name for name, gradient in given.items() if name not in self.touched and gradient.any()
        )
        for name, gradient in given.items():
            self._visit(name, gradient)
        self.before = self.method.snapshot(self.model) if self.watched else None

    def _visit(self, name, gradient) -> None:
        """Note the rows of fused experts that a gradient reached: an expert without tokens has none."""
        if ".experts." in name and (gradient.dim() == 3 or ".lora_A." in name):
            if name not in self.visited:
                count = self.trainable[name].shape[0]
                self.visited[name] = torch.zeros(count, dtype=torch.bool, device=gradient.device)
            here = processes.rows(len(self.visited[name]))
            self.visited[name][here] |= (gradient != 0).flatten(1).any(1)

    def _agree(self) -> None:
        """Put together what the processes have seen, each of its own parts."""
        if processes.world() > 1:
            names = sorted(self.trainable)
            seen = processes.largest([n in s for s in (self.reached, self.touched) for n in names])
            self.reached = {n for n, flag in zip(names, seen[: len(names)], strict=True) if flag}
            self.touched = {n for n, flag in zip(names, seen[len(names) :], strict=True) if flag}
            self.visited = processes.flags(self.visited)

    def _experts_seen(self) -> list:
        """Of each tensor on fused experts, bool [experts]: those that had a gradient."""
        experts = ffn.experts_of(ffn.feed_forwards(self.model)) if self.visited else 0
        return [rows.reshape(experts, -1).any(1) for rows in self.visited.values()]

    def after_step(self) -> float | None:
        """||P dW|| / ||dW|| of the step just taken; None where nothing is promised."""
        norms = self.method.constraint_violation(self.model, self.before) if self.watched else None
        if norms is not None:
            self.constraint_violations.append(_share(norms))
        return self.constraint_violations[-1] if norms is not None else None

    def close(self) -> dict:
        """The audit of the whole stage; raises StageFailed where a promise was broken."""
        self._agree()
        experts = self._experts_seen()
        total = self.method.constraint_violation(self.model, self.first) if self.watched else None
        violation_total = _share(total) if total is not None else None
        violation_max = max(self.constraint_violations, default=None)
        moved = [name for name, value in self._frozen().items() if value != self.frozen.get(name)]
        missed = sorted(set(self.trainable) - (self.reached if self.steps < STEPS_TO_JUDGE else self.touched))
        if missed:
            raise StageFailed(f"{len(missed)} declared parameters got no gradient, the first is {missed[0]}")
        if moved:
            raise StageFailed(f"{len(moved)} frozen parameters moved, the first is {moved[0]}")
        for what, share in (("a step", violation_max), ("the stage", violation_total)):
            if self.method.constrained and share is not None and not share <= self.tolerance:
                raise StageFailed(
                    f"{what} wrote {share:.2e} of its norm where it must not (limit {self.tolerance:g})"
                )
        return {
            "constraint_violation_max_step": violation_max,
            "constraint_violation_total": violation_total,
            "constraint_steps_audited": len(self.constraint_violations),
            "tolerance": self.tolerance,
            "promised": self.method.constrained,
            "trainable_tensors": len(self.trainable),
            "trainable_parameters": sum(p.numel() for p in self.trainable.values()),
            "frozen_tensors": len(self.frozen),
            "without_gradient": len(missed),
            "frozen_moved": len(moved),
            "expert_tensors": sum(len(seen) for seen in experts),
            "expert_tensors_without_gradient": sum(int((~seen).sum()) for seen in experts),
            **(self.routing.counts() if self.routing else {}),
        }

    def _frozen(self) -> dict:
        """A checksum of every frozen parameter: the sum of its bits, read as integers."""
        kinds = {4: torch.int32, 2: torch.int16, 8: torch.int64, 1: torch.int8}
        sums = {}
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                if not p.requires_grad:
                    bits = processes.local(p.detach()).contiguous().view(kinds[p.element_size()])
                    pieces = bits.flatten().split(SUMMED_AT_ONCE)
                    sums[name] = int(sum(piece.sum(dtype=torch.int64) for piece in pieces))
        return dict(zip(sums, processes.summed(list(sums.values())), strict=True))


def _share(norms) -> float:
    forbidden, total = norms
    return forbidden / total if total > 0 else (0.0 if forbidden == 0 else math.inf)
