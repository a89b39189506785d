"""Every hook of the project, each in a context manager that takes it out again.

Shapes: T token positions (sequences flattened), n neurons of one expert or dense layer, H hidden width, K
chosen neurons.
"""

from contextlib import ExitStack, contextmanager, nullcontext

from .errors import InputError
from .ffn import base_layer, feed_forwards
from .models import base_network


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
            if not block.experts:
                _watch_input(stack, block.mlp.down_proj, observe, block, 0)
                continue
            _watch_experts(stack, observe_routed or _one_by_one(observe), block)
            shared = block.mlp.shared_expert.down_proj
            _watch_input(stack, shared, observe, block, block.size - block.shared)
        yield


def _watch_input(stack, module, observe, block, first):
    def hook(_, args):
        observe(block, first, None, args[0].detach().flatten(0, -2), None)

    stack.callback(module.register_forward_pre_hook(hook).remove)


def _one_by_one(observe):
    """An ``observe_routed`` that shows each hit expert by itself."""

    def observe_routed(block, experts, positions, h, weights):
        hit, counts = (found.tolist() for found in experts.unique_consecutive(return_counts=True))
        pieces = zip(hit, *(x.split(counts) for x in (positions, h, weights)), strict=True)
        for expert, *piece in pieces:
            observe(block, expert * block.width, *piece)

    return observe_routed


def _watch_experts(stack, observe_routed, block):
    """Routed experts keep h inside one fused call.

    transformers' ``grouped_mm`` sorts rows by expert and computes h in ``_apply_gate``, where it is taken
    from; another implementation has another order, and h is computed again beside it.
    """
    experts = base_layer(block.mlp.experts)
    grouped = getattr(experts.config, "_experts_implementation", None) == "grouped_mm"
    gate, rows = experts._apply_gate, {}

    def before(_, args, kwargs):
        import torch

        hidden, chosen, weights = _expert_inputs(args, kwargs)
        expert, order = torch.sort(chosen.reshape(-1))  # as grouped_mm does: the same rows in the same order
        positions = order // chosen.shape[-1]
        rows["at hand"] = block, expert, positions
        rows["weights"] = weights.reshape(-1)[order]
        if not grouped:
            with torch.no_grad():
                show(_routed_activations(experts, hidden[positions], expert))

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


def _routed_activations(experts, x, expert):
    """h [S, n] of rows x [S, H] that are sorted by ``expert`` [S]."""
    import torch

    hit, counts = (found.tolist() for found in expert.unique_consecutive(return_counts=True))
    parts = []
    for number, piece in zip(hit, x.split(counts), strict=True):
        gate, up = torch.nn.functional.linear(piece, experts.gate_up_proj[number]).chunk(2, -1)
        parts.append(experts.act_fn(gate) * up)
    return torch.cat(parts)


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


@contextmanager
def separate_documents(model):
    """Let documents packed into one row [1, T] pass recurrent layers (Gated DeltaNet) one by one.

    Such a layer gets them as rows of a padded batch [B, S] and its output is packed again, so that no state
    and no convolution crosses a border, whatever kernel runs inside. The network is called with
    ``document_lengths``; it hands keywords through to its layers, also in a recomputation.
    """
    with ExitStack() as stack:
        for layer in base_network(model).model.layers:
            if hasattr(layer, "linear_attn"):
                mixer = layer.linear_attn
                stack.callback(mixer.register_forward_pre_hook(_unpack, with_kwargs=True).remove)
                stack.callback(mixer.register_forward_hook(_pack, with_kwargs=True).remove)
            elif not hasattr(layer, "self_attn"):
                raise InputError(
                    f"{type(layer).__name__} has neither attention nor Gated DeltaNet: "
                    "packed documents would see each other",
                    key="training.packing",
                )
        yield


def _unpack(_, args, kwargs):
    import torch

    lengths = kwargs.get("document_lengths")
    if lengths is None:
        return None
    documents = kwargs["hidden_states"].squeeze(0).split(lengths)
    rows = torch.nn.utils.rnn.pad_sequence(documents, batch_first=True)
    return args, kwargs | {"hidden_states": rows, "attention_mask": None}


def _pack(_, args, kwargs, output):
    import torch

    lengths = kwargs.get("document_lengths")
    if lengths is None:
        return output
    return torch.cat([row[:n] for row, n in zip(output, lengths, strict=True)]).unsqueeze(0)


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
            import torch

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
