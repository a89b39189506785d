"""FLOPs, tokens and seconds of one job.

A forward pass takes two FLOPs a weight and token, plus what attention and Gated DeltaNet do between tokens. A
step with frozen weights takes that again backward, to the inputs, and a third time where a layer is computed
again; trained weights take one more. Shapes as in ``saved``.
"""

from .saved import CHUNK

LOAD = 1.0e9  # bytes/s at which weights are read from disk
START = 20.0  # seconds of a job before its model is read: queue apart, Python and imports
SLOW_DELTANET = 2.2  # times as long without the fused Gated DeltaNet (measured elsewhere)


def deltanet_flops(shape) -> dict:
    """One Gated DeltaNet layer, a token: matrix products, and triangular solves."""
    h, dk, dv = shape.value_heads, shape.key_dim, shape.value_dim
    products = h * (4 * CHUNK * dk + 2 * CHUNK * dv + 6 * dk * dv) + 2 * shape.kernel * shape.conv_dim
    return {"products": products, "solves": h * CHUNK * (dk + dv)}


def linear_flops(shape) -> float:
    """All linear layers and the experts that a token meets, the head left out; forward, a token."""
    routed = sum(w.inputs * w.outputs * w.count for w in shape.weights if w.experts) * shape.active
    plain = sum(w.parameters for w in shape.weights if not w.experts)
    return 2.0 * (plain + routed + shape.parts["router"])


def body_flops(shape, context: float) -> float:
    """Everything but the head, forward, a token that attends to ``context`` others."""
    full = shape.kinds.count("full_attention")
    attention = 4.0 * context * shape.heads * shape.head_dim * full
    return linear_flops(shape) + attention + sum(deltanet_flops(shape).values()) * (shape.layers - full)


def head_flops(shape) -> float:
    return 2.0 * shape.hidden * shape.vocabulary


def train_flops(shape, trained, setting, tokens: float, steps: int, length: float) -> float:
    """One stage: ``tokens`` in ``steps`` steps, of documents of ``length``."""
    # a packed row is attended to as a whole and masked; a padded one causally, half of it on average
    context = tokens / max(1, steps) if setting.packing else length / 2
    body, head = body_flops(shape, context), head_flops(shape)
    between = body - linear_flops(shape)  # products of two activations have two gradients each
    passes = 3 if setting.checkpointing else 2
    result = tokens * (passes * body + between + 3 * head)
    if trained.everything:
        return result + tokens * (linear_flops(shape) + head)
    result += tokens * (passes + 1) * 2.0 * _met(shape, trained)
    if trained.rank and trained.fused:  # W + dW is made for the whole layer, and its gradient too
        fused = [w for w in shape.weights if w.experts]
        result += tokens * 2.0 * shape.active * sum(w.inputs * w.outputs * w.count for w in fused)
        result += steps * (passes + 1) * 2.0 * trained.rank * sum(w.parameters for w in fused)
    return result + trained.sample_tokens * 2 * body


def _met(shape, trained) -> float:
    """Numbers of the adapter that one token meets outside fused experts."""
    if trained.rank:
        return sum(trained.rank * (w.inputs + w.outputs) * w.count for w in trained.adapted if not w.experts)
    shared = bool(shape.shared)
    met = (shape.active + shared) / (shape.experts + shared) if shape.experts else 1
    return trained.parameters * met


def probe_flops(shape, tokens: float, length: float) -> float:
    """Both halves of a domain; the head is not run."""
    return tokens * body_flops(shape, length / 2)


def evaluation_flops(shape, tokens: float, length: float) -> float:
    return tokens * (body_flops(shape, length / 2) + head_flops(shape))


def evaluation_tokens(config: dict, length: float) -> float:
    """Tokens that one checkpoint is scored on: documents, their choices, and prompts of what is generated."""
    evals = config["evals"]
    choices = evals["choice_items"] * (config["splits"].get("distractors", 3) + 1)
    each = compared_tokens(config, length) + choices * length * len(config["domains"])
    return each + len(evals["generate"]) * evals["generation_items"] * length


def compared_tokens(config: dict, length: float) -> float:
    """Tokens of the documents on which a checkpoint is compared with the base model."""
    return config["evals"]["documents"] * length * len(config["domains"])


def generation_seconds(shape, setting, config: dict, gpu, weight_bytes: float) -> float:
    """Decoding reads every weight once a token, all documents together."""
    evals = config["evals"]
    tokens = evals["max_new_tokens"] * len(evals["generate"]) if evals["generation_items"] else 0
    return tokens * weight_bytes / gpu.bandwidth


def slowdown(shape, setting) -> float:
    """How much longer a pass takes without the fused kernels."""
    return SLOW_DELTANET if "linear_attention" in shape.kinds and not setting.fast else 1.0
