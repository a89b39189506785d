"""Names of a network's weights: which layer each is of, and which kind of module."""

import re

LAYER = re.compile(r"layers\.(\d+)\.(.+)$")


def layer_of(name: str) -> int:
    """The decoder layer of a weight."""
    return int(LAYER.search(name)[1])


def kind_of(name: str) -> str:
    """Which of a layer's weights: q, k, v, o, gate, up, down, in_proj_qkv, out, ...; of a mixture
    shared_gate, experts_gate_up, experts_down, router."""
    part = LAYER.search(name)[2].removesuffix(".weight")
    part = re.sub(r"^(mlp|self_attn|linear_attn)\.", "", part).removesuffix("_proj")
    if part == "gate" and not name.removesuffix(".weight").endswith("_proj"):
        return "router"
    return part.replace("shared_expert.", "shared_").replace("experts.", "experts_")
