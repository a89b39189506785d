"""Tensors read without torch."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.tensors import Tensors


def test_bfloat16_is_read_without_torch(tmp_path):
    import torch
    from safetensors.torch import save_file

    x = torch.randn(7, 5)
    save_file({"x": x.bfloat16(), "y": x, "z": x.half()}, tmp_path / "t.safetensors")
    tensors = Tensors(tmp_path / "t.safetensors")
    np.testing.assert_array_equal(tensors["x"], x.bfloat16().float().numpy())
    np.testing.assert_array_equal(tensors["y"], x.numpy())
    np.testing.assert_array_equal(tensors["z"], x.half().float().numpy())
    save_file({"x": x / 0}, tmp_path / "t.safetensors")
    with pytest.raises(InputError, match="x is not finite"):
        Tensors(tmp_path / "t.safetensors")["x"]
