"""Watch a network while it runs: activations of feed-forward neurons, inputs of modules.

Shapes: T token positions (sequences flattened), n neurons of one expert or dense layer, H hidden width.
"""

from contextlib import ExitStack, contextmanager

import torch

from implicit_sparsity.models.ffn import feed_forwards


@contextmanager
def ffn_activations(model, observe, observe_routed=None):
    """Show every feed-forward neuron's activation h = act(W_gate x) * (W_up x) while the block runs.

    ``observe(block, first, positions, h, weights)`` is called for each dense layer, hit expert and shared
    expert: ``first`` is the number of its first neuron in the layer, ``positions`` [T] the flat token
    positions it saw (None: all of them, in order), ``h`` [T, n], ``weights`` [T] its routing weights (None
    where it has no router). Where ``observe_routed(block, experts, positions, h, weights)`` is given it gets
    all routed experts of a layer in one call instead, rows [T * slots] sorted by expert: on a GPU one call an
    expert would wait for the device each time.
    """
    with ExitStack() as stack:
        for block in feed_forwards(model):
            if block.experts:
                _watch_experts(stack, observe_routed or _one_by_one(observe), block)
            if dense := block.dense:
                _watch_input(stack, dense.mlp.down_proj, observe, block, dense.first)
        yield


def _watch_input(stack, module, observe, block, first):
    def hook(_, args):
        observe(block, first, None, args[0].detach().flatten(0, -2), None)

    stack.callback(module.register_forward_pre_hook(hook).remove)


def _one_by_one(observe):
    """An ``observe_routed`` that shows each hit expert by itself."""

    def observe_routed(block, experts, positions, h, weights):
        hit, counts = (part.tolist() for part in experts.unique_consecutive(return_counts=True))
        pieces = zip(hit, *(x.split(counts) for x in (positions, h, weights)), strict=True)
        for expert, *piece in pieces:
            observe(block, expert * block.width, *piece)

    return observe_routed


def _watch_experts(stack, observe_routed, block):
    """Routed experts keep h inside one fused call.

    transformers' ``grouped_mm`` sorts rows by expert and computes h in ``_apply_gate``, where it is taken
    from; another implementation has another order, and h is computed again beside it.
    """
    experts = block.fused_experts
    grouped = getattr(experts.config, "_experts_implementation", None) == "grouped_mm"
    gate, rows = experts._apply_gate, {}

    def before(_, args, kwargs):
        hidden, chosen, weights = expert_inputs(args, kwargs)
        expert, order = torch.sort(chosen.reshape(-1))  # as grouped_mm does: the same rows in the same order
        positions = order // chosen.shape[-1]
        rows["at hand"] = block, expert, positions
        rows["weights"] = weights.reshape(-1)[order]
        if not grouped:
            with torch.no_grad():
                show(routed_activations(experts, hidden[positions], expert))

    def show(h):
        observe_routed(*rows.pop("at hand"), h.detach(), rows.pop("weights"))

    def gate_and_show(gate_up):
        h = gate(gate_up)
        show(h)
        return h

    stack.callback(experts.register_forward_pre_hook(before, with_kwargs=True).remove)
    if grouped:
        experts._apply_gate = gate_and_show
        stack.callback(delattr, experts, "_apply_gate")


def routed_activations(experts, x, expert):
    """h [S, n] of rows x [S, H] that are sorted by ``expert`` [S]."""
    hit, counts = (part.tolist() for part in expert.unique_consecutive(return_counts=True))
    parts = []
    for number, piece in zip(hit, x.split(counts), strict=True):
        gate, up = torch.nn.functional.linear(piece, experts.gate_up_proj[number]).chunk(2, -1)
        parts.append(experts.act_fn(gate) * up)
    return torch.cat(parts)


def expert_inputs(args, kwargs):
    """(hidden [T, H], chosen experts [T, slots], their weights [T, slots]) of a fused experts call."""
    names = ("hidden_states", "top_k_index", "top_k_weights")
    values = dict(zip(names, args, strict=False)) | kwargs
    return tuple(values[name] for name in names)


@contextmanager
def module_inputs(modules: dict, observe):
    """Show the input [B, S, in] of named modules, ``observe(name, x)``: the very tensor, so that sharing can
    be seen."""
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(_, args, kwargs, name=name):
                observe(name, args[0] if args else kwargs["hidden_states"])

            stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


@contextmanager
def module_calls(modules: dict, observe):
    """Show what named modules read and say, ``observe(name, x, y)``: as ``module_inputs``, y as returned."""
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(_, args, kwargs, output, name=name):
                observe(name, args[0] if args else kwargs["hidden_states"], output)

            stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield
