"""Prune weights to 2 of every 4 by their size times that of their inputs, and mend what is kept.

Wanda (Sun et al. 2306.11695): the score of W[o, i] is |W[o, i]| * ||x_i||_2 over calibration tokens; of every
four neighbours of a row the two with the higher scores stay. Shapes: X experts (1 for a linear layer), o
outputs, i inputs, T tokens; a weight is [X, o, i], its calibration inputs a list of X tensors [T, i].
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import ffn, forward
from implicit_sparsity.models.hooks.watching import ffn_activations, module_inputs


@dataclass(frozen=True)
class Weight:
    """A weight that can be pruned: of a linear layer, or fused of experts."""

    name: str
    module: object
    parameter: str = "weight"

    @property
    def tensor(self):
        """The parameter itself."""
        return getattr(self.module, self.parameter)

    @property
    def view(self):
        """[X, o, i]: writing to it in place writes through."""
        data = self.tensor.data
        return data if data.dim() == 3 else data.unsqueeze(0)


def weights(model, targets: str = "mlp") -> dict:
    """{name: Weight} of the FFN ("mlp") or of all linear layers ("all"), routed experts' included; routers,
    embeddings and the head are left alone."""
    network, result = forward.base_network(model), {}
    inside = {id(module) for block in ffn.feed_forwards(network) for module in block.mlp.modules()}
    for name, module in forward.decoder(network).layers.named_modules(prefix="model.layers"):
        if isinstance(module, torch.nn.Linear) and module.out_features > 1:  # one: the shared expert's gate
            if targets == "all" or id(module) in inside:
                result[f"{name}.weight"] = Weight(f"{name}.weight", module)
        elif isinstance(getattr(module, "gate_up_proj", None), torch.nn.Parameter):
            for parameter in ("gate_up_proj", "down_proj"):
                result[f"{name}.{parameter}"] = Weight(f"{name}.{parameter}", module, parameter)
    for name, weight in result.items():
        if not weight.tensor.is_floating_point():
            raise InputError(f"{name} is quantized and cannot be pruned", key="models.*.quantization")
        if weight.tensor.shape[-1] % 4:
            raise InputError(f"{name} has {weight.tensor.shape[-1]} inputs, which is no multiple of four")
    return result


def calibration(model, batches, by_name: dict) -> dict:
    """Inputs of each weight on these batches, {name: [x [T, i] of each expert]}, float32; weights that read
    the same tensor share theirs. An expert without tokens has an empty one."""
    linear = {name: w.module for name, w in by_name.items() if w.parameter == "weight"}
    fused = {name: w.module for name, w in by_name.items() if w.parameter == "gate_up_proj"}
    inputs, now = {}, {}

    def collect(name, x):
        if x is now.get("last"):  # gate and up, or q, k and v: the module before read the very same
            inputs[name] = inputs[now["name"]]
        elif name in fused:
            now["routed"] = x.detach().flatten(0, -2)
            return
        else:
            real = now["keep"].to(x.device)  # a network may lie on several GPUs
            inputs.setdefault(name, [[]])[0].append(x.detach().flatten(0, -2)[real].float())
        now["last"], now["name"] = x, name

    def observe_routed(block, expert, positions, h, _):
        real = now["keep"].to(positions.device)[positions]
        expert, x, h = expert[real], now["routed"][positions[real]], h[real]
        counts = torch.bincount(expert, minlength=block.experts).tolist()
        for parameter, rows in (("gate_up_proj", x), ("down_proj", h)):
            name = block.full_name(f"experts.{parameter}")
            place = inputs.setdefault(name, [[] for _ in counts])
            for number, part in enumerate(rows.float().split(counts)):
                place[number] += [part] if len(part) else []

    with (
        torch.inference_mode(),
        module_inputs(linear | fused, collect),
        ffn_activations(model, lambda *_: None, observe_routed),  # the shared expert is a linear layer
    ):
        for batch in batches:
            now.update(keep=batch["attention_mask"].bool().flatten(), last=None)
            forward.hidden_states(model, batch["input_ids"], batch["attention_mask"])
    joined = {id(parts): [torch.cat(p) if p else None for p in parts] for parts in inputs.values()}
    return {name: joined[id(inputs[name])] for name in by_name}


def input_norms(inputs: list, width: int):
    """||x_i||_2 of each expert's inputs, [X, i]; ones for one without tokens: there size alone counts."""
    device = next((x.device for x in inputs if x is not None), "cpu")
    ones = torch.ones(width, device=device)
    return torch.stack([ones if x is None else x.norm(dim=0) for x in inputs])


def two_of_four(weight, norms):
    """bool [X, o, i]: of every four neighbours in a row the two with the largest |W| * ||x||; of equal ones
    the first."""
    scores = (weight.float().abs() * norms[:, None, :]).unflatten(-1, (-1, 4))
    order = torch.argsort(scores, dim=-1, descending=True, stable=True)
    keep = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order[..., :2], True)
    return keep.flatten(-2)


def recover(weight, keep, x, steps: int = 20, damping: float = 0.01):
    """The kept weights of one expert that best give the dense outputs again, [o, i], zero elsewhere.

    Per row: argmin over v, zero outside ``keep``, of ||X (v - w)||^2 + d ||v - w||^2, d = damping * mean of
    diag X'X, as in SparseGPT (2301.00774). All rows at once by ``steps`` conjugate gradients on the masked
    normal equations, because solving each row exactly costs (i / 2)^3.
    """
    w, mask = weight.float(), keep.float()
    d = damping * x.square().sum() / x.shape[1]

    def normal(v):
        return ((v @ x.T) @ x + d * v) * mask

    v = w * mask
    residual = normal(w - v)
    direction, size = residual.clone(), residual.square().sum(1, keepdim=True)
    for _ in range(steps):
        moved = normal(direction)
        length = size / (direction * moved).sum(1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny)
        v, residual = v + length * direction, residual - length * moved
        now = residual.square().sum(1, keepdim=True)
        direction = residual + now / size.clamp(min=torch.finfo(w.dtype).tiny) * direction
        size = now
    return v
