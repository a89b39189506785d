"""Every hook of the project, each in a context manager that takes it out again.

Shapes: T token positions (sequences flattened), n neurons of one expert or dense layer, H hidden width, K
chosen neurons.
"""

from contextlib import ExitStack, contextmanager

from .ffn import base_layer, feed_forwards


@contextmanager
def ffn_activations(model, observe):
    """Show every feed-forward neuron's activation h = act(W_gate x) * (W_up x) while the block runs.

    ``observe(block, first, positions, h, weights)`` is called for each dense layer, hit expert and shared
    expert: ``first`` is the number of its first neuron in the layer, ``positions`` [T] the flat token
    positions it saw (None: all of them, in order), ``h`` [T, n], ``weights`` [T] its routing weights (None
    where it has no router).
    """
    with ExitStack() as stack:
        for block in feed_forwards(model):
            if not block.experts:
                _watch_input(stack, block.mlp.down_proj, observe, block, 0)
                continue
            experts = base_layer(block.mlp.experts)
            hook = _expert_hook(observe, block, experts)
            stack.callback(experts.register_forward_pre_hook(hook, with_kwargs=True).remove)
            shared = block.mlp.shared_expert.down_proj
            _watch_input(stack, shared, observe, block, block.size - block.shared)
        yield


def _watch_input(stack, module, observe, block, first):
    def hook(_, args):
        observe(block, first, None, args[0].detach().flatten(0, -2), None)

    stack.callback(module.register_forward_pre_hook(hook).remove)


def _expert_hook(observe, block, experts):
    """Routed experts keep h inside one fused call, so it is computed again, expert by expert."""

    def hook(_, args, kwargs):
        import torch

        hidden, chosen, weights = _expert_inputs(args, kwargs)
        with torch.no_grad():
            for expert in torch.unique(chosen).tolist():
                positions, slot = torch.where(chosen == expert)
                gate, up = torch.nn.functional.linear(hidden[positions], experts.gate_up_proj[expert]).chunk(
                    2, -1
                )
                h = experts.act_fn(gate) * up
                observe(block, expert * block.width, positions, h, weights[positions, slot])

    return hook


def _expert_inputs(args, kwargs):
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
                _dense_deltas(stack, block.mlp.shared_expert, block.size - block.shared, *parts)
            else:
                _dense_deltas(stack, block.mlp, 0, *parts)
        yield


def _dense_deltas(stack, mlp, first, index, gate, up, down):
    """Deltas of the neurons from number ``first`` on, which are those of ``mlp``."""
    here = (index >= first).nonzero().flatten()
    if not len(here):
        return
    unit, part = index[here] - first, (here if first else slice(None))

    def rows(delta):
        def hook(_, args, output):
            return output.index_add(-1, unit, args[0] @ delta[part].to(output.dtype).T)

        return hook

    def columns(_, args, output):
        return output + args[0].index_select(-1, unit) @ down[:, part].to(output.dtype).T

    stack.callback(mlp.gate_proj.register_forward_hook(rows(gate)).remove)
    stack.callback(mlp.up_proj.register_forward_hook(rows(up)).remove)
    stack.callback(mlp.down_proj.register_forward_hook(columns).remove)


def _expert_deltas(stack, block, index, gate, up, down):
    """Add to the fused experts' output what the chosen neurons say now, less what they said before."""
    import torch

    linear = torch.nn.functional.linear
    experts = base_layer(block.mlp.experts)
    pieces = {}
    for expert in range(block.experts):
        part = ((index >= expert * block.width) & (index < (expert + 1) * block.width)).nonzero().flatten()
        if len(part):
            pieces[expert] = (part, index[part] - expert * block.width)

    def hook(_, args, kwargs, output):
        hidden, chosen, weights = _expert_inputs(args, kwargs)
        for expert, (part, unit) in pieces.items():
            positions, slot = torch.where(chosen == expert)
            x = hidden[positions]
            fused, w_down = experts.gate_up_proj[expert], experts.down_proj[expert][:, unit]
            w_gate, w_up = fused[unit], fused[block.width + unit]
            before = experts.act_fn(linear(x, w_gate)) * linear(x, w_up)
            after = experts.act_fn(linear(x, _sum(w_gate, gate[part]))) * linear(x, _sum(w_up, up[part]))
            change = linear(after, _sum(w_down, down[:, part])) - linear(before, w_down)
            output = output.index_add(0, positions, change * weights[positions, slot, None])
        return output

    stack.callback(experts.register_forward_hook(hook, with_kwargs=True).remove)


def _sum(weight, delta):
    """weight + delta, rounded once, to the precision of the weight."""
    return (weight + delta).to(weight.dtype)
