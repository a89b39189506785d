"""A nano configuration of every architecture of ``models.families``, with what it does to logits far from 1.

Two layers or what shows each kind of layer; weights large enough that a transform, a cap or a scale shows.
"""

BASE = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS = {"head_dim": 16}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "num_hidden_layers": 4,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SHARED = {"shared_expert_intermediate_size": 24}
WINDOW = {"sliding_window": 16}
CAP = {"final_logit_softcapping": 2.0}
MUP = {
    "logits_scaling": 8.0,
    "embedding_multiplier": 6.0,
    "residual_multiplier": 0.4,
    "attention_multiplier": 0.2,
}
MLA = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 2,
    "head_dim": 8,
}
DEEPSEEK = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
OWN = {
    "cohere": {"logit_scale": 0.0625, "tie_word_embeddings": True},
    "cohere2": {"logit_scale": 0.0625, "tie_word_embeddings": True} | WINDOW,
    "deepseek_v2": DEEPSEEK | MLA,
    "deepseek_v3": DEEPSEEK | MLA,
    "dots1": DEEPSEEK | HEADS,
    "ernie4_5": HEADS,
    "exaone4": WINDOW,
    "flex_olmo": {"num_experts": 4, "num_experts_per_tok": 2},
    "gemma": HEADS,
    "gemma2": HEADS | CAP | WINDOW,
    "gemma3_text": HEADS | CAP | WINDOW | {"tie_word_embeddings": True},
    "glm": HEADS,
    "glm4": HEADS,
    "glm4_moe": DEEPSEEK | HEADS,
    "granite": MUP,
    "granitemoe": MUP | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "helium": HEADS,
    "hunyuan_v1_dense": HEADS,
    "hyperclovax": MUP,
    "minicpm3": MLA | {"dim_model_base": 8, "scale_emb": 6, "scale_depth": 0.7},
    "ministral": HEADS | WINDOW,
    "ministral3": WINDOW,
    "mistral": WINDOW,
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "olmo3": WINDOW,
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": EXPERTS | SHARED,
    "qwen3": HEADS,
    "qwen3_next": HEADS | LINEAR | EXPERTS | SHARED,
    "qwen3_moe": EXPERTS | HEADS,
    "qwen3_5_text": HEADS | LINEAR,
    "qwen3_5_moe_text": HEADS | LINEAR | EXPERTS | SHARED,
    "seed_oss": HEADS,
    "vaultgemma": HEADS | CAP,
}


def config(name: str, **more) -> dict:
    """A nano configuration of this family."""
    return {"model_type": name} | BASE | OWN.get(name, {}) | more


def network(name: str, **more):
    """A frozen network of this family with random weights, biases and norms, in torch's default
    precision."""
    import torch

    from implicit_sparsity.models import loading

    model = loading.create(config(name, **more), 0).to(torch.get_default_dtype())
    random = torch.Generator().manual_seed(0)
    for parameter in model.requires_grad_(False).parameters():
        if parameter.dim() == 1:  # transformers begins with zeros and ones
            parameter += 0.2 * torch.randn(len(parameter), generator=random, dtype=torch.float32)
    return model.eval()
