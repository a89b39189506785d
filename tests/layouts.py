"""Nano networks of every form of feed-forward layer, by family; random weights, real architectures."""

SMALL = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
MIXED = SMALL | {"moe_intermediate_size": 16, "num_experts": 8, "num_experts_per_tok": 2, "head_dim": 16}
DEEPSEEK = {
    "moe_intermediate_size": 16,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
}
LAYOUTS = {  # name: (configuration, neurons of each layer by hand: dense, or (experts, each, shared))
    "plain": ({"model_type": "llama", **SMALL, "mlp_bias": True}, [64, 64, 64]),
    "gelu": ({"model_type": "gemma3_text", **SMALL, "head_dim": 16}, [64, 64, 64]),
    "fused": ({"model_type": "phi3", **SMALL, "bos_token_id": 1, "eos_token_id": 2}, [64, 64, 64]),
    "fused_glm": ({"model_type": "glm4", **SMALL, "head_dim": 16}, [64, 64, 64]),
    "unshared": ({"model_type": "qwen3_moe", **MIXED}, [(8, 16, 0)] * 3),
    "unshared_olmoe": ({"model_type": "olmoe", **MIXED, "intermediate_size": 16}, [(8, 16, 0)] * 3),
    "unshared_mixtral": (
        {"model_type": "mixtral", **SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
        [(4, 64, 0)] * 3,
    ),
    "unshared_granite": (
        {"model_type": "granitemoe", **SMALL, "num_local_experts": 4, "num_experts_per_tok": 2},
        [(4, 64, 0)] * 3,
    ),
    "shared_gated": (
        {"model_type": "qwen2_moe", **MIXED, "shared_expert_intermediate_size": 24},
        [(8, 16, 24)] * 3,
    ),
    "some_dense": (
        {"model_type": "qwen3_moe", **MIXED, "mlp_only_layers": [1]},
        [(8, 16, 0), 64, (8, 16, 0)],
    ),
    "first_dense": ({"model_type": "deepseek_v3", **SMALL, **DEEPSEEK}, [64, (8, 16, 32), (8, 16, 32)]),
    "unnormalised": (
        {"model_type": "deepseek_v2", **SMALL, **DEEPSEEK, "head_dim": 8, "routed_scaling_factor": 2.0},
        [64, (8, 16, 32), (8, 16, 32)],
    ),
}
SIZES = {
    name: [each if isinstance(each, int) else each[0] * each[1] + each[2] for each in layers]
    for name, (_, layers) in LAYOUTS.items()
}


def make(name: str, seed: int = 0, **more):
    """The frozen network, with numbers also in what is zero in a fresh one: biases, and the correction of
    DeepSeek's router."""
    import torch

    from implicit_sparsity.models import loading

    network = loading.create(LAYOUTS[name][0] | more, seed).to(torch.get_default_dtype())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if key.endswith((".bias", "e_score_correction_bias")):
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
            elif not tensor.any() or key.endswith(("gate.weight", "router.weight")):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
    return network.requires_grad_(False).eval()


def tokens(batch: int = 2, length: int = 12):
    import torch

    return torch.randint(3, 300, (batch, length), generator=torch.Generator().manual_seed(0))
