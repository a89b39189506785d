"""The factors of a LoRA, whether it sits on a linear layer or on fused experts, as one shape.

dW = scale * B A for each expert. Shapes: X experts (1 for a linear layer), r rank, i input width, o output
width; A [X, r, i], B [X, o, r], a basis U of a subspace of the input [X or 1, i, k] with orthonormal
columns.
"""

from dataclasses import dataclass

import torch
from peft.tuners.lora import LoraLayer


@dataclass(frozen=True)
class Factors:
    """The two trainable factors of one adapted weight."""

    name: str
    module: object  # PEFT's layer
    experts: int
    parameter: str | None  # the fused parameter it adapts; None for a linear layer

    @property
    def weights(self):
        """The two parameters as PEFT stores them: those that are trained, not an earlier stage's."""
        return self.module.lora_A["default"].weight, self.module.lora_B["default"].weight

    @property
    def views(self):
        """(A [X, r, i], B [X, o, r]): views of the parameters, so that writing to them in place writes
        through."""
        return self.shaped(*self.weights)

    def shaped(self, a, b):
        """A and B of any copy of the parameters, in the common shape (PEFT lays B out rank first, expert
        last)."""
        a = a.unflatten(0, (self.experts, -1))
        b = b.unflatten(1, (-1, self.experts)).permute(2, 0, 1)
        return a, b


def factors(model) -> dict[str, Factors]:
    """Every adapted weight of a PeftModel by name; the name of a fused parameter ends in the parameter's."""
    result = {}
    for name, module in _lora_layers(model):
        if "default" in module.lora_A:
            parameter = getattr(module, "parameter_name", None)
            clean = name.replace(".base_layer", "").removeprefix("base_model.model.")
            if parameter is not None:
                clean = f"{clean}.{parameter}"
            result[clean] = Factors(clean, module, getattr(module, "num_experts", 1) or 1, parameter)
    return result


def _lora_layers(model):
    """(name, module) of PEFT's layers, as ``named_modules`` has them: each step asks several times, and nine
    in ten modules are inside such a layer."""
    waiting, seen = [("", model)], set()
    while waiting:
        name, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if isinstance(module, LoraLayer):
            yield name, module
            inside = [("base_layer", module.base_layer)]  # on fused experts one wraps the other
        else:
            inside = list(module.named_children())
        waiting += [(f"{name}.{child}".lstrip("."), inner) for child, inner in reversed(inside)]


def beside(bases: dict, model) -> dict:
    """The bases on the devices of their weights; what weights share on one device stays shared."""
    moved = {}
    known = factors(model)
    for name, basis in bases.items():
        device = known[name].weights[0].device
        moved[name] = moved.setdefault((id(basis), device), basis.to(device))
    return {name: moved[name] for name in bases}


def snapshot(model) -> dict:
    """Copies of all factors, {name: (A, B)}."""
    return {
        name: tuple(tensor.detach().clone() for tensor in factor.views)
        for name, factor in factors(model).items()
    }


def change_norms(model, before: dict, bases: dict) -> tuple[float, float]:
    """(||dW U||, ||dW||) of all adapted weights since ``before``, over those that have a basis in ``bases``.

    dW = B1 A1 - B0 A0 = [B1, -B0] [A1; A0] is never formed: ||L R||^2 = tr(L'L R R'). In float64, because a
    step is a small difference of large products.
    """
    parts, last = [], None
    for name, factor in factors(model).items():
        if name not in bases:
            continue
        gram, right = _change(factor, before[name])
        if bases[name] is not last:  # q, k and v share one, gate and up another
            last = bases[name]
            wide = last.double()
        inside = right @ wide
        parts.append(_squares(gram * (inside @ inside.mT), gram * (right @ right.mT)))
    forbidden, total = summed(parts)
    return max(forbidden, 0.0) ** 0.5, max(total, 0.0) ** 0.5


def _squares(*tables):
    """The sum of each, side by side."""
    return torch.stack([table.sum() for table in tables])


def summed(parts) -> list[float]:
    """The sums of pairs of numbers, wherever they lie: asked for together, so that each device is waited for
    once."""
    devices = {}
    for part in parts:
        devices.setdefault(part.device, []).append(part)
    rows = [row for pairs in devices.values() for row in torch.stack(pairs).tolist()]
    return [sum(column) for column in zip(*rows, strict=True)] or [0.0, 0.0]


def expert_change_norms(model, before: dict, chosen: dict) -> tuple[float, float]:
    """(norm of what changed in the factors of experts not chosen, norm of all that changed in factors) since
    ``before``; ``chosen``: bool [X] of each weight that is fused of experts, by name.

    Of the factors themselves and not of dW: a slice that was not touched has exactly 0 on any processor,
    where the products of dW cancel to rounding, and one that was touched has more, also where B is zero.
    """
    parts = []
    for name, factor in factors(model).items():
        changes = (
            (now.detach().double() - old).square().sum((1, 2))  # float64: no difference is lost
            for now, old in zip(factor.views, before[name], strict=True)
        )
        each = sum(changes)
        held = ~chosen[name] if name in chosen else torch.zeros_like(each, dtype=torch.bool)
        parts.append(_squares(each[held], each))
    forbidden, total = summed(parts)
    return forbidden**0.5, total**0.5


def _change(factor, before):
    """(L'L, R) of dW = L R = [B1, -B0] [A1; A0] since the copies ``before`` of A and B, float64."""
    (a0, b0), (a1, b1) = before, (tensor.detach() for tensor in factor.views)
    left = torch.cat([b1, -b0], 2).double()
    right = torch.cat([a1, a0], 1).double()
    return left.transpose(1, 2) @ left, right


def stack(old: dict, new: dict, experts: int) -> dict:
    """The state of one LoRA whose update is the sum of two: factors side by side, rank the sum of ranks.

    ``old`` and ``new`` map PEFT's parameter names to tensors; ``experts`` is the size of fused parameters.
    """
    stacked = {}
    for name, tensor in new.items():
        fused = ".experts." in name
        if ".lora_A." in name:
            parts = [part.unflatten(0, (experts if fused else 1, -1)) for part in (old[name], tensor)]
            stacked[name] = torch.cat(parts, 1).flatten(0, 1).contiguous()
        else:  # B is rank-major, so that ranks of one adapter follow those of the other
            stacked[name] = torch.cat([old[name], tensor], 1).contiguous()
    return stacked
