"""Change what feed-forward neurons say while a network runs, without touching its weights.

Shapes: T token positions (sequences flattened), n neurons of one expert or dense layer, H hidden width, K
chosen neurons.
"""

from contextlib import ExitStack, contextmanager

import torch

from implicit_sparsity.models.ffn import feed_forwards

from .watching import expert_inputs


@contextmanager
def sparsified(model, change):
    """Run the network with what ``change`` makes of every feed-forward activation h, in all layers at once.

    ``change(block, first, experts, positions, h)`` returns h changed: of each dense layer and shared expert
    [T, n] (``experts`` and ``positions`` None: all positions, in order), and of all routed experts of a layer
    in one call [T * slots, n], ``experts`` ascending. They run as ``grouped_mm`` meanwhile: transformers'
    other implementations hold no h that is sorted and can be reached.
    """
    with ExitStack() as stack:
        for block in feed_forwards(model):
            if block.experts:
                _change_experts(stack, change, block)
            if dense := block.dense:
                _change_input(stack, dense.mlp.down_proj, change, block, dense.first)
        yield


def _change_input(stack, module, change, block, first):
    def hook(_, args):
        h = change(block, first, None, None, args[0].flatten(0, -2))
        return h.view_as(args[0]), *args[1:]

    stack.callback(module.register_forward_pre_hook(hook).remove)


def _change_experts(stack, change, block):
    experts = block.fused_experts
    gate, rows = experts._apply_gate, {}
    implementation = experts.config._experts_implementation

    def before(_, args, kwargs):
        chosen = expert_inputs(args, kwargs)[1]
        expert, order = torch.sort(chosen.reshape(-1))  # as in _watch_experts
        rows["at hand"] = expert, order // chosen.shape[-1]

    experts.config._experts_implementation = "grouped_mm"
    stack.callback(setattr, experts.config, "_experts_implementation", implementation)
    stack.callback(experts.register_forward_pre_hook(before, with_kwargs=True).remove)
    experts._apply_gate = lambda gate_up: change(block, 0, *rows.pop("at hand"), gate(gate_up))
    stack.callback(delattr, experts, "_apply_gate")


@contextmanager
def neuron_deltas(model, index: list, gate: list, up: list, down: list):
    """Run the network as if chosen neurons' rows and columns had these values added, without touching its
    weights.

    Per layer: ``index`` [K] ascending neuron numbers, ``gate`` and ``up`` [K, H], ``down`` [H, K], which may
    be trainable: the gradient is that of the rows and columns themselves, and nothing is computed for the
    frozen rest.
    """
    with ExitStack() as stack:
        for block, *parts in zip(feed_forwards(model), index, gate, up, down, strict=True):
            if block.experts:
                _expert_deltas(stack, block, *parts)
            if dense := block.dense:
                _dense_deltas(stack, dense, *parts)
        yield


def _dense_deltas(stack, dense, index, gate, up, down):
    """Deltas of the neurons of ``dense``, an ``ffn.Dense``."""
    first, mlp = dense.first, dense.mlp
    here = (index >= first).nonzero().flatten()
    if not len(here):
        return
    unit, part = index[here] - first, (here if first else slice(None))

    def rows(delta, above=0):
        def hook(_, args, output):
            # in place: a linear layer's backward pass needs its input, not its output
            return output.index_add_(-1, above + unit, args[0] @ delta[part].to(output.dtype).T)

        return hook

    def columns(_, args, output):
        return output.add_(args[0].index_select(-1, unit) @ down[:, part].to(output.dtype).T)

    if dense.fused:  # gates above ups, in one output
        hooks = [(mlp.gate_up_proj, rows(gate)), (mlp.gate_up_proj, rows(up, above=dense.width))]
    else:
        hooks = [(mlp.gate_proj, rows(gate)), (mlp.up_proj, rows(up))]
    for module, hook in hooks:
        stack.callback(module.register_forward_hook(hook).remove)
    stack.callback(mlp.down_proj.register_forward_hook(columns).remove)


def _expert_deltas(stack, block, index, gate, up, down):
    """Add to the fused experts' output what the chosen neurons say now, less what they said before."""
    linear = torch.nn.functional.linear
    experts = block.fused_experts
    pieces = {}
    for expert in range(block.experts):
        part = ((index >= expert * block.width) & (index < (expert + 1) * block.width)).nonzero().flatten()
        if len(part):
            pieces[expert] = (part, index[part] - expert * block.width)

    def hook(_, args, kwargs, output):
        hidden, chosen, weights = expert_inputs(args, kwargs)
        routed, order = torch.sort(chosen.reshape(-1), stable=True)
        counts = torch.bincount(routed, minlength=block.experts).tolist()  # a layer's one wait for the device
        rows, routing = order.split(counts), weights.reshape(-1)
        for expert, (part, unit) in pieces.items():
            positions = rows[expert] // chosen.shape[-1]
            x = hidden[positions]
            fused, w_down = experts.gate_up_proj[expert], experts.down_proj[expert][:, unit]
            w_gate, w_up = fused[unit], fused[block.width + unit]
            before = experts.act_fn(linear(x, w_gate)) * linear(x, w_up)
            after = experts.act_fn(linear(x, _sum(w_gate, gate[part]))) * linear(x, _sum(w_up, up[part]))
            change = linear(after, _sum(w_down, down[:, part])) - linear(before, w_down)
            output = output.index_add(0, positions, change * routing[rows[expert], None])
        return output

    stack.callback(experts.register_forward_hook(hook, with_kwargs=True).remove)


def _sum(weight, delta):
    """weight + delta, rounded once, to the precision of the weight."""
    return (weight + delta).to(weight.dtype)
