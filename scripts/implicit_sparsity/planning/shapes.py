"""The shape of a network from its configuration: parameters by part, counted on the meta device.

No weight is read or made: torch's meta device knows sizes alone, so a network of 35 billion parameters takes
a fraction of a second. H hidden width, I feed-forward neurons, E routed experts.
"""

from dataclasses import dataclass

import torch

from implicit_sparsity.models import ffn, loading
from implicit_sparsity.storage.files import package_file

PARTS = (
    "embedding",
    "attention",
    "gated_deltanet",
    "ffn",
    "routed_experts",
    "shared_expert",
    "router",
    "norms",
    "head",
)
MARKS = (  # part of a parameter's name -> part of the network; the first that fits counts
    ("embed_tokens", "embedding"),
    ("lm_head", "head"),
    ("norm.", "norms"),
    ("layernorm", "norms"),
    (".self_attn.", "attention"),
    (".linear_attn.", "gated_deltanet"),
    (".experts.", "routed_experts"),
    (".mlp.shared_expert", "shared_expert"),
    (".mlp.gate.", "router"),
    (".router.", "router"),
    (".mlp.", "ffn"),
)


@dataclass(frozen=True)
class Weight:
    """``count`` equal matrices [outputs, inputs]; ``experts`` of each fused into one parameter if not 0."""

    name: str  # last part of the module's (or fused parameter's) name
    inputs: int
    outputs: int
    count: int  # layers that have it
    experts: int = 0

    @property
    def parameters(self) -> int:
        return self.inputs * self.outputs * self.count * max(1, self.experts)


@dataclass(frozen=True)
class Shape:
    """What the estimates need to know of a network."""

    family: str  # model_type
    traits: frozenset  # of its feed-forward layers, see ``ffn.traits``
    hidden: int
    vocabulary: int
    kinds: tuple  # per layer "full_attention" or "linear_attention"
    heads: int
    kv_heads: int
    head_dim: int
    gated: bool  # q_proj gives an output gate beside the query
    sizes: tuple  # per layer its feed-forward neurons, all experts together
    ffn: int  # neurons of a dense layer, the widest; 0 where all layers are mixtures
    experts: int  # routed ones of a layer that has them
    active: int  # routed experts of a token
    expert_ffn: int
    shared: int  # neurons of the shared expert; 0 where there is none
    key_heads: int  # of Gated DeltaNet, as the next four
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    parts: dict  # part -> parameters
    weights: tuple  # Weight, those of linear layers and fused experts; the head is not among them

    @property
    def layers(self) -> int:
        return len(self.kinds)

    @property
    def neurons(self) -> int:
        """Feed-forward neurons of the widest layer, all experts together."""
        return max(self.sizes)

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def active_total(self) -> int:
        """Parameters that one token meets; the embedding counts whole, though one row of it is read."""
        idle = 1 - self.active / self.experts if self.experts else 0
        return round(self.total - idle * self.parts["routed_experts"])

    @property
    def conv_dim(self) -> int:
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim


def of_config(config: dict) -> Shape:
    """The shape of a configuration (``model_type`` and its fields), or of the text model's inside one."""
    with torch.device("meta"):
        network = loading.create(text_config(config), seed=0)
    return of_network(network)


def text_config(config: dict) -> dict:
    """Of a vision-language configuration the text model's, without what concerns files, not shapes."""
    inner = dict(config.get("text_config") or config)
    if "tie_word_embeddings" in config:
        inner.setdefault("tie_word_embeddings", config["tie_word_embeddings"])
    for name in ("quantization_config", "architectures", "transformers_version", "dtype", "torch_dtype"):
        inner.pop(name, None)
    return inner


def of_network(network) -> Shape:
    """The shape of a network at hand."""
    config, parts = network.config.get_text_config(), dict.fromkeys(PARTS, 0)
    for name, parameter in network.named_parameters():
        parts[next(part for mark, part in MARKS if mark in name)] += parameter.numel()
    weights, blocks = _weights(network), ffn.feed_forwards(network)
    mixed = next((block for block in blocks if block.experts), None)
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    queries = next((w.outputs for w in weights if w.name == "q_proj"), 0)

    def linear(name):
        return getattr(config, f"linear_{name}", 0) or 0

    return Shape(
        family=config.model_type,
        traits=ffn.traits(network),
        hidden=config.hidden_size,
        vocabulary=config.vocab_size,
        kinds=_kinds(config),
        heads=heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        gated=queries == 2 * heads * head_dim,
        sizes=tuple(ffn.sizes(blocks)),
        ffn=max((block.size for block in blocks if not block.experts), default=0),
        experts=mixed.experts if mixed else 0,
        active=config.num_experts_per_tok if mixed else 0,
        expert_ffn=mixed.width if mixed else 0,
        shared=mixed.shared if mixed else 0,
        key_heads=linear("num_key_heads"),
        value_heads=linear("num_value_heads"),
        key_dim=linear("key_head_dim"),
        value_dim=linear("value_head_dim"),
        kernel=linear("conv_kernel_dim"),
        parts=parts,
        weights=weights,
    )


def _kinds(config) -> tuple:
    """Of each layer: attention over a window is attention."""
    kinds = getattr(config, "layer_types", None) or [None] * config.num_hidden_layers
    return tuple(kind if kind == "linear_attention" else "full_attention" for kind in kinds)


def _weights(network) -> tuple:
    """Every linear layer and fused expert weight but the head, equal ones of the layers counted together."""
    counted: dict = {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head"):
            key = (name.rsplit(".", 1)[-1], module.in_features, module.out_features, 0)
            counted[key] = counted.get(key, 0) + 1
    for name, parameter in network.named_parameters():
        if ".experts." in name:
            experts, outputs, inputs = parameter.shape
            key = (name.rsplit(".", 1)[-1], inputs, outputs, experts)
            counted[key] = counted.get(key, 0) + 1
    return tuple(Weight(name, i, o, n, x) for (name, i, o, x), n in sorted(counted.items()))


def of_gguf(package: str, file: str) -> dict:
    """The configuration that a GGUF file inside an installed package describes."""
    loading.quiet()
    path = package_file(package, file)
    return loading.gguf_configuration(path.parent, path.name).to_dict()
