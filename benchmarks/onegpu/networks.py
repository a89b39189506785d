"""Networks at the published shapes with random weights, made where they run: no checkpoint, no copy in host
memory.

Shapes of Qwen3.5-27B and Qwen3.5-35B-A3B as third parties quote them (26.90 B and 34.66 B parameters without
vision tower and MTP head); what is not named has the class's default. FLOPs are those of ``planning.work``:
two a weight that a token meets, forward, and what attention and Gated DeltaNet do between tokens.
"""

SHAPES = {
    "qwen3_5_27b": {
        "model_type": "qwen3_5_text",
        "hidden_size": 5120,
        "num_hidden_layers": 64,
        "intermediate_size": 17408,
        "num_attention_heads": 24,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 48,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "vocab_size": 248320,
        "tie_word_embeddings": False,
    },
    "qwen3_5_35b_a3b": {
        "model_type": "qwen3_5_moe_text",
        "hidden_size": 2048,
        "num_hidden_layers": 40,
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "vocab_size": 248320,
        "tie_word_embeddings": False,
    },
}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "vocab_size": 320,
}
NANO = {
    "qwen3_5_27b": SHAPES["qwen3_5_27b"] | SMALL | {"intermediate_size": 64},
    "qwen3_5_35b_a3b": SHAPES["qwen3_5_35b_a3b"]
    | SMALL
    | {
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
}


def settings(name: str, nano: bool, layers: int | None) -> dict:
    """The configuration of a model: whole or of nano size, and cut to its first ``layers`` where given."""
    chosen = dict((NANO if nano else SHAPES)[name])
    if layers:
        chosen["num_hidden_layers"] = min(layers, chosen["num_hidden_layers"])
    return chosen


def create(config: dict, device: str, precision: str):
    """A network with the initialisation of its class, drawn on ``device``; frozen, in eval mode."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    fields = {name: value for name, value in config.items() if name != "model_type"}
    described = AutoConfig.for_model(config["model_type"], **fields)
    with torch.device("meta"):  # sizes only
        network = AutoModelForCausalLM.from_config(described, dtype=dtype)
    torch.manual_seed(0)
    network.to_empty(device=device)
    network.initialize_weights()  # also A_log, dt_bias and what rotary embeddings compute
    return network.requires_grad_(False).eval()


def forward_flops(shape, tokens: int, length: int) -> float:
    """FLOPs of one pass over ``tokens`` tokens in documents of ``length``, the head left out."""
    from implicit_sparsity.planning import work

    return work.probe_flops(shape, tokens, length)


def step_flops(shape, method: str, options: dict, tokens: int, length: int, recompute: bool) -> float:
    """FLOPs of one packed step; with ``recompute``, also those of layers that are computed again."""
    from dataclasses import replace
    from types import SimpleNamespace

    from implicit_sparsity.planning import trained, work

    written = replace(trained.of_method(shape, method, options), sample_tokens=0)
    setting = SimpleNamespace(packing=True, checkpointing=recompute)
    return work.train_flops(shape, written, setting, tokens, 1, length)


def kernels() -> dict:
    """{function of Gated DeltaNet: the module whose implementation transformers calls}."""
    import inspect

    from transformers.models.qwen3_5 import modeling_qwen3_5

    names = (
        "torch_chunk_gated_delta_rule",
        "torch_recurrent_gated_delta_rule",
        "causal_conv1d_fn",
        "causal_conv1d_update",
    )
    modules = {}
    for name in names:
        function = getattr(modeling_qwen3_5, name)
        chosen = inspect.getclosurevars(function).nonlocals.get("implementation", function)
        modules[name.removeprefix("torch_")] = chosen.__module__
    return modules
