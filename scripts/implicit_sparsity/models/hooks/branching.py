"""Run feed-forward layers with new neurons beside their own.

Shapes: K new neurons, H hidden width.
"""

from contextlib import ExitStack, contextmanager

import torch

from implicit_sparsity.models.ffn import feed_forwards


@contextmanager
def side_branches(model, layers):
    """Add to what each dense layer (in a mixture: each shared expert) says what K more neurons say of its
    input.

    Per layer (gate, up [K, H], their changes [K, H], down [H, K]); the last three may be trainable.
    """
    with ExitStack() as stack:
        for block, parts in zip(feed_forwards(model), layers, strict=True):
            dense = block.dense
            stack.callback(dense.mlp.register_forward_hook(_hook(dense.act, *parts)).remove)
        yield


def _hook(act, gate, up, d_gate, d_up, down):
    linear = torch.nn.functional.linear

    def hook(_, args, output):
        rows = [(weight + change).to(weight.dtype) for weight, change in ((gate, d_gate), (up, d_up))]
        h = act(linear(args[0], rows[0])) * linear(args[0], rows[1])
        return output + linear(h, down.to(gate.dtype))

    return hook
