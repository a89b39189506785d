"""Names of a network's weights: which layer each is of, and which kind of module."""

import re

LAYER = re.compile(r"layers\.(\d+)\.(.+)$")
ROUTER = re.compile(r"\.(?:mlp\.gate|mlp\.router|block_sparse_moe\.router)(?:\.weight)?$")


def layer_of(name: str) -> int:
    """The decoder layer of a weight."""
    return int(LAYER.search(name)[1])


def kind_of(name: str) -> str:
    """Which of a layer's weights: q, k, v, o, gate, up, gate_up, down, in_proj_qkv, out, ...; of a mixture
    shared_gate, experts_gate_up, experts_down, router."""
    if ROUTER.search(name):
        return "router"
    part = LAYER.search(name)[2].removesuffix(".weight")
    part = re.sub(r"^(mlp|block_sparse_moe|self_attn|linear_attn)\.", "", part).removesuffix("_proj")
    return re.sub(r"shared_experts?\.", "shared_", part).replace("experts.", "experts_")
