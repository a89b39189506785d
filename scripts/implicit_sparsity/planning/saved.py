"""Bytes that autograd keeps for the backward pass of one layer, by part, while an adapter is trained.

Read off what torch 2.13, transformers 5.23 and PEFT 0.21 save (tests/planning/test_saved.py compares with
``torch.autograd.graph.saved_tensors_hooks``). Frozen weights save nothing of their own: the input of a
linear layer is kept for its adapter alone. Under bfloat16 the Trainer's autocast makes each adapted layer
keep a copy of its input in 2 bytes, norms work in 4, and the reference Gated DeltaNet is partly in 4.

T positions in rows of S; H hidden width; c = 64 positions of a chunk of Gated DeltaNet.
"""

CHUNK = 64
WIDE = 4  # bytes of what is computed in float32 whatever the precision
FFN = ("gate_proj", "up_proj", "gate_up_proj", "down_proj")


class Layer:
    """One kind of layer under one adapter: bytes by part for T positions in rows of S."""

    def __init__(self, shape, kind: str, trained, precision: str = "fp32", fast: bool = False):
        self.shape, self.kind, self.trained, self.fast = shape, kind, trained, fast
        self.e = 2 if precision == "bf16" else 4

    def parts(self, tokens: int, length: int) -> dict:
        """{part: bytes}; ``weights`` is PEFT's fused W + dW, which does not grow with tokens."""
        shape = self.shape
        mixer = "attention" if self.kind == "full_attention" else "gated_deltanet"
        mix = self._attention() if self.kind == "full_attention" else self._deltanet(length)
        result = {"norms": 2 * WIDE * (shape.hidden + 1) * tokens, mixer: mix * tokens}
        experts = self._experts() if shape.experts else 0
        # where some layers are dense and some are mixtures, the larger kind counts
        result["ffn"] = max(experts, self._dense(shape.ffn)) * tokens
        return result | {"weights": self.fused()}

    def total(self, tokens: int, length: int) -> float:
        return sum(self.parts(tokens, length).values())

    def _inputs(self, width: int, *names: str) -> float:
        """Inputs that the adapters of linear layers keep where all ``names`` read one tensor of ``width``."""
        retained = [name for name in names if self.trained.adapts(name)]
        if not retained:
            return 0
        # autocast copies the input for every adapted layer; without it they share one tensor
        copies = len(retained) if self.e == 2 and self.trained.rank else 1
        return self.e * (copies * width + len(retained) * self.trained.rank)

    def _attention(self) -> float:
        s, e = self.shape, self.e
        n, kv, d = s.heads, s.kv_heads, s.head_dim
        retained = self._inputs(s.hidden, "q_proj", "k_proj", "v_proj")
        # without a gate, what attention gives is what o_proj reads: one tensor, unless autocast copies it
        retained += self._inputs(n * d if s.gated or e == 2 else 0, "o_proj")
        retained += WIDE * n + e * (2 * n * d + 2 * kv * d)  # softmax sums; q, k, v and what attention gives
        if s.gated:  # norms of queries and keys; the gate and what it is multiplied with
            retained += WIDE * ((2 if e == WIDE else 1) * n * d + n + kv * d + kv) + e * 2 * n * d
        return retained

    def _deltanet(self, length: int) -> float:
        s, e = self.shape, self.e
        h, dv = s.value_heads, s.value_dim
        retained = self._inputs(s.hidden, "in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a")
        retained += self._inputs(h * dv, "out_proj")
        retained += s.conv_dim * e * (1 if self.fast else 2)  # into the convolution, and into its silu
        retained += h * (e + WIDE)  # beta, and the decay before its softplus
        retained += h * (dv * (3 * WIDE + e) + WIDE)  # the gated norm
        if self.fast:  # flash-linear-attention keeps q, k, v, g, beta and A, and computes the rest again
            return retained + e * s.conv_dim + h * (WIDE + e + e * CHUNK) + 2 * WIDE * s.key_heads
        return retained + self._chunks() * -(-length // CHUNK) * CHUNK / length

    def _chunks(self) -> float:
        """The reference Gated DeltaNet (torch_chunk_gated_delta_rule), per position of a whole chunk."""
        h, dk, dv, e = self.shape.value_heads, self.shape.key_dim, self.shape.value_dim, self.e
        state = dk * dv / CHUNK
        wide = WIDE * (6 * dk + 2 * dv + 2 * CHUNK + 6)
        if e == WIDE:
            return h * (wide + e * (6 * dk + dv + 3 * CHUNK + state))
        return h * (wide + e * (7 * dk + 2 * dv + 3 * CHUNK + 2 * state) + WIDE * state)

    def _dense(self, neurons: int, *more: str) -> float:
        """Gated neurons: the gate before and after its activation function, up, and what their adapters keep;
        ``more``: linear layers that read the same."""
        if not neurons:
            return 0
        names = [
            name for name in FFN[:3] if any(w.name == name and not w.experts for w in self.shape.weights)
        ]
        retained = 3 * neurons * self.e + self._inputs(neurons, "down_proj")
        return retained + self._inputs(self.shape.hidden, *names, *more)

    def _experts(self) -> float:
        """Router, routed experts through a grouped product, shared expert and its gate."""
        s, e, k = self.shape, self.e, self.shape.active
        if not self.trained.fused:  # frozen experts: the element-wise steps alone
            routed = k * (3 * s.expert_ffn * e + s.hidden * e + WIDE + 24)
        else:
            routed = k * ((4 * s.expert_ffn + 2 * s.hidden) * e + WIDE + 24)
        router = WIDE * (s.experts + 1) + k * (8 + WIDE)
        gate = [w.name for w in s.weights if w.name == "shared_expert_gate"]
        return routed + router + self._dense(s.shared, *gate) + (e * (s.hidden + 1) if s.shared else 0)

    def fused(self) -> float:
        """PEFT adds a LoRA to fused experts by making W + dW of the whole layer."""
        if not (self.trained.fused and self.trained.rank):
            return 0
        each = sum(w.inputs * w.outputs * w.experts for w in self.shape.weights if w.experts)
        return each * self.e


def whole(shape, trained, precision: str, tokens: int, length: int, checkpointing: bool, fast=False) -> dict:
    """Bytes kept for the backward pass: {"kept": of all layers, "again": of the one computed again}.

    With checkpointing each layer keeps its input; the largest layer counts as the one computed again.
    """
    layers = {kind: Layer(shape, kind, trained, precision, fast) for kind in set(shape.kinds)}
    last = WIDE * (shape.hidden + 1) * tokens  # the norm before the head
    if checkpointing:
        inputs = shape.layers * shape.hidden * tokens * (2 if precision == "bf16" else 4)
        return {
            "kept": inputs + last,
            "again": max(layer.total(tokens, length) for layer in layers.values()),
        }
    total = sum(layers[kind].total(tokens, length) for kind in shape.kinds)
    return {"kept": total + last - _before(layers[shape.kinds[0]], tokens, length), "again": 0}


def _before(layer, tokens: int, length: int) -> float:
    """Bytes that the first layer spares: what comes before the first trained weight has no backward pass."""
    if layer.trained.everything:
        return 0
    spared = WIDE * (layer.shape.hidden + 1) * tokens
    if layer.trained.rank and layer.trained.targets == "all":
        return spared
    result = layer.parts(tokens, length)
    return spared + sum(size for part, size in result.items() if part in ("attention", "gated_deltanet"))
