"""Subspaces of the inputs of adapted weights: what an old domain's tokens or gradients span, per weight.

A linear layer's gradient lies in the span of its inputs, so an update that is orthogonal to an old domain's
inputs leaves that domain's outputs as they were: dW x = 0 (Gradient Projection Memory, Saha et al.
2103.09762). Shapes: X experts or 1, T sampled tokens, i input width, k dimensions.
"""

import numpy as np
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.ffn import base_layer
from implicit_sparsity.models.forward import hidden_states
from implicit_sparsity.models.hooks.gradients import weight_gradients
from implicit_sparsity.models.hooks.watching import ffn_activations, module_inputs
from implicit_sparsity.models.losses import completion_loss
from implicit_sparsity.randomness import stream_seed


def first_tokens(batches) -> list:
    """[a batch] of the first tokens of all documents of ``batches``, ids [F, 1], equal ones once: nothing
    stands before them, so that alone they are what they are in a document."""
    ids = torch.unique(torch.cat([batch["input_ids"][:, :1] for batch in batches]), dim=0)
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids)}]


def input_samples(model, batches, factors: dict, skip_first: int = 1) -> dict:
    """Inputs of each adapted weight, {name: [X or 1, T, i]}; fused ``down_proj`` has one set an expert.

    Of all tokens but the first ``skip_first`` of each document: attention sinks have most of the energy.
    Weights that read the same tensor (q, k and v, gate and up) share one tensor in the result. Experts that
    saw fewer tokens have rows of zeros, which span nothing.
    """
    linear = {name: f.module for name, f in factors.items() if f.parameter in (None, "weight")}  # a router's
    fused = {name: f.module for name, f in factors.items() if f.parameter and "gate_up" in f.parameter}
    inputs, experts, keep, last = {}, {}, None, (None, None)

    def collect(name, x):
        nonlocal last
        if x is last[0]:  # the same tensor as the module before: q, k and v, or gate and up
            inputs[name] = inputs[last[1]]
        else:
            inputs.setdefault(name, []).append(x.detach().flatten(0, -2)[keep].float())
            last = (x, name)  # holding it keeps its address from being used again

    def collect_experts(block, first, positions, h, _):
        if positions is not None:
            name = block.full_name("experts.down_proj")
            chunks = experts.setdefault(name, {}).setdefault(first // block.width, [])
            chunks.append(h[keep[positions]].float())

    with (
        torch.inference_mode(),
        module_inputs(linear | fused, collect),
        ffn_activations(model, collect_experts),
    ):
        for batch in batches:
            counted, last = batch["attention_mask"] == 1, (None, None)
            counted[:, :skip_first] = False
            keep = counted.flatten()
            hidden_states(model, batch["input_ids"], batch["attention_mask"])
    joined = {id(parts): torch.cat(parts).unsqueeze(0) for parts in inputs.values()}
    samples = {name: joined[id(parts)] for name, parts in inputs.items()}
    for name, parts in experts.items():
        if name in factors:
            samples[name] = _stack_experts(parts, factors[name].experts)
    return samples


def _stack_experts(parts: dict, experts: int):
    rows = {expert: torch.cat(chunks) for expert, chunks in parts.items()}
    first = next(iter(rows.values()))
    result = first.new_zeros(experts, max(len(x) for x in rows.values()), first.shape[1])
    for expert, x in rows.items():
        result[expert, : len(x)] = x
    return result


def gradient_samples(model, batches, factors: dict, rows: int, seed: int) -> dict:
    """What single documents' gradients see of each adapted weight's input, {name: [X, D * rows, i]}.

    Of each document's gradient [o, i] the ``rows`` leading right singular vectors, each times its singular
    value, so that all documents stacked have the right singular vectors of their stacked gradients. One
    document a batch. Only one weight's gradient is held at a time.
    """
    weights = {name: getattr(base_layer(f.module), f.parameter or "weight") for name, f in factors.items()}
    if whole := [name for name, weight in weights.items() if not weight.is_floating_point()]:
        raise InputError(f"{whole[0]} is quantized and has no gradient", key="models.*.quantization")
    retained = {name: [] for name in weights}

    def collect(name, gradient):
        g = gradient.float() if gradient.dim() == 3 else gradient.float().unsqueeze(0)
        torch.manual_seed(stream_seed(seed, name, str(len(retained[name]))))
        _, values, directions = torch.svd_lowrank(g, q=min(rows, *g.shape[1:]), niter=4)
        retained[name].append((directions * values[:, None, :]).transpose(1, 2))

    with weight_gradients(weights, collect):
        for batch in batches:
            completion_loss(model, batch).backward()
    model.zero_grad(set_to_none=True)
    return {name: torch.cat(parts, 1) for name, parts in retained.items()}


def leading(samples, basis, rank: int, seed: int):
    """[X, rank, i]: orthonormal rows, the leading right singular vectors of what ``samples`` [X, T, i] have
    outside ``basis`` [X, i, k] (or None).

    Where the samples have fewer directions, rows are random ones outside the basis; where there are none
    left, zero. Which is why noise of a millionth of the samples is among what is decomposed.
    """
    x = samples.double()
    torch.manual_seed(seed)
    noise = torch.randn(len(x), rank, x.shape[2], dtype=x.dtype, device=x.device)
    size = x.norm(dim=(1, 2), keepdim=True)
    x = torch.cat([x, noise * torch.where(size > 0, 1e-6 * size, 1.0)], 1)
    u = None if basis is None else basis.double()
    for _ in range(2 if u is not None else 0):  # once leaves what rounding u to float32 left
        x = x - (x @ u) @ u.transpose(1, 2)
    q = min(rank + 8, *x.shape[1:])
    _, values, directions = torch.svd_lowrank(x, q=q, niter=4)
    rows = (directions * (values > 1e-10 * size.flatten(1).clamp(min=1e-6))[:, None, :]).transpose(1, 2)
    if u is not None:
        rows = rows - (rows @ u) @ u.transpose(1, 2)
    rows = rows[:, :rank]
    return torch.nn.functional.pad(rows, (0, 0, 0, rank - rows.shape[1])).to(samples.dtype)


def random_like(basis, seed: int):
    """A random subspace with as many directions as ``basis`` [X, i, k] has for each expert.

    Of one ``seed`` the smaller is inside the larger, so that a subspace that grows keeps what it had.
    """
    experts, width, k = basis.shape
    # not torch's: the last numbers that it draws depend on how many there are
    drawn = np.random.default_rng(seed).standard_normal((k, experts, width), np.float32)
    columns = torch.from_numpy(drawn).permute(1, 2, 0).to(basis.device)
    used = _used(basis).sort(dim=1, descending=True).values
    return (_orthonormal(columns).to(basis.dtype) if k else basis) * used[:, None, :]


def extend(basis, samples, energy: float, max_rank: int, seed: int, fixed_rank: int = 0):
    """(basis grown by the directions of ``samples`` that it lacks, share of their energy that it now holds).

    ``basis`` [X, i, k] (or None), ``samples`` [X, T, i]. Adds the fewest leading right singular vectors of
    the samples' residual with which basis and addition together hold ``energy`` of ||samples||^2, at most
    ``max_rank`` of them, which wins; or, where ``fixed_rank`` is given, so many, whatever they hold. Columns
    that an expert does not need are zero, so that one tensor serves all experts; U'U is the identity but for
    those.
    """
    total = _energy(samples)
    residual = samples if basis is None else samples - (samples @ basis) @ basis.mT
    q = min(max_rank, *residual.shape[1:])
    # float32 cannot see values below 1e-3 of the largest
    precise = fixed_rank or energy > 0.999
    values, directions = _leading(residual.double() if precise else residual, q, seed)
    held = (total - _energy(residual))[:, None] + torch.cat(
        [torch.zeros_like(values[:, :1]), values.square().cumsum(1)], 1
    )
    short = held < energy * total[:, None]  # [X, q + 1]: with so many directions it does not suffice
    needed = short.sum(1).clamp(max=q)
    if fixed_rank:  # no more than there are: behind them are directions of rounding errors
        there = (values > 1e-6 * total.sqrt()[:, None]).sum(1)
        needed = torch.full_like(needed, fixed_rank).minimum(there)
    taken = _used(basis).sum(1) if basis is not None else 0
    wanted = torch.minimum(needed, samples.shape[2] - taken + torch.zeros_like(needed))
    wanted = torch.where(total > 0, wanted, torch.zeros_like(wanted))
    reached = float(held.gather(1, wanted[:, None]).sum() / total.sum().clamp(min=1e-300))
    k = int(wanted.max())
    used = torch.arange(k, device=wanted.device)[None, :] < wanted[:, None]
    added = directions[:, :, :k] * used[:, None, :]
    if basis is None:
        return _orthonormal(added).to(samples.dtype), reached
    if not k:
        return basis, reached
    old = basis.expand(len(added), -1, -1).double()
    added = _orthonormal(added - old @ (old.mT @ added.double()))
    return _used_first(torch.cat([old, added], 2)).to(samples.dtype), reached


def _energy(samples):
    """||x||^2 of each expert's samples [X, T, i], float64 [X]."""
    return torch.linalg.vector_norm(samples, dim=(1, 2), dtype=torch.float64).square()


def _leading(rows, count: int, seed: int):
    """Of rows [X, T, i] the ``count`` leading singular values, float64 [X, count], and right singular vectors
    [X, i, count] in the rows' precision.

    From the eigenvectors of the smaller Gram matrix, a fraction of the time of a decomposition of the rows;
    of values below 1e-3 (float64: 1e-8) of the largest the vectors are rounding.
    """
    if 4 * count < min(rows.shape[1:]):
        torch.manual_seed(seed)
        _, values, directions = torch.svd_lowrank(rows, q=count + 8, niter=4)
        return values[:, :count].double(), directions[:, :, :count]
    few = rows.shape[1] < rows.shape[2]
    squares, vectors = torch.linalg.eigh(rows @ rows.mT if few else rows.mT @ rows)
    squares, vectors = squares.flip(1)[:, :count], vectors.flip(2)[:, :, :count]
    directions = torch.nn.functional.normalize(rows.mT @ vectors, dim=1) if few else vectors
    return squares.double().clamp(min=0).sqrt(), directions


def _used(basis):
    """Which columns of [X, i, k] are not zero, bool [X, k]."""
    return basis.square().sum(1) > 0.25  # they are of norm 1 or 0


def _used_first(basis):
    """Columns in use first, expert by expert; those that no expert uses are cut."""
    used = _used(basis)
    width = int(used.sum(1).max()) if used.numel() else 0
    order = used.int().argsort(dim=1, descending=True, stable=True)[:, :width]
    return basis.gather(2, order[:, None, :].expand(-1, basis.shape[1], -1))


def _orthonormal(basis):
    """The columns in use made orthonormal, float64, by a QR decomposition; the rest zero, or cut.

    Those in use come first, because behind a zero column the decomposition would turn the others.
    """
    columns = _used_first(basis)[:, :, : basis.shape[1]].double()
    q, r = torch.linalg.qr(columns)
    sign = torch.sign(torch.diagonal(r, dim1=1, dim2=2))
    return q * (sign * _used(columns))[:, None, :]


def project_out(factors: dict, bases: dict, strength: float = 1.0) -> None:
    """A <- A - strength * (A U) U' of every factor, in place: with strength 1 the update B A no longer sees
    the subspace of its basis."""
    last = None
    with torch.no_grad():
        for name, factor in factors.items():
            if bases[name] is not last:  # q, k and v share one, gate and up another
                last = bases[name]
                u = last.double()
            a = factor.views[0]
            rows = a.double()
            a.copy_(rows - strength * (rows @ u) @ u.mT)
