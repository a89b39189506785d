"""Bytes on a GPU, told from the shape."""

from test_feasibility import full_size  # noqa: F401 (a fixture)


def test_quantization_leaves_fused_experts(full_size):  # noqa: F811
    """bitsandbytes reaches linear layers alone: NF4 saves little of a mixture."""
    from implicit_sparsity.planning import memory

    plain, nf4 = memory.Setting(precision="bf16"), memory.Setting(precision="bf16", quantization="nf4")
    saved = {name: 1 - memory.weights(s, nf4) / memory.weights(s, plain) for name, s in full_size.items()}
    assert saved["dense"] > 0.6 and saved["mixture"] < 0.06
