"""Names of weights: layer and kind."""

from implicit_sparsity.models.weight_names import kind_of, layer_of

NAMES = {
    "layers.3.self_attn.q_proj": "q",
    "model.layers.3.mlp.down_proj": "down",
    "layers.3.linear_attn.in_proj_qkv": "in_proj_qkv",
    "layers.3.linear_attn.out_proj": "out",
    "layers.3.mlp.experts.gate_up_proj": "experts_gate_up",
    "layers.3.mlp.shared_expert.gate_proj": "shared_gate",
    "layers.3.mlp.shared_expert_gate": "shared_expert_gate",
    "layers.3.mlp.gate": "router",
    "layers.3.mlp.gate_proj": "gate",
}


def test_kinds_of_weights_have_a_name_each():
    assert {name: kind_of(name) for name in NAMES} == NAMES
    assert {layer_of(name) for name in NAMES} == {3}
