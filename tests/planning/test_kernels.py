"""Fused kernels: refused where they are asked for and not there."""

import networks
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.planning import kernels, shapes


def test_fused_kernels(monkeypatch):
    dense, llama = (shapes.of_config(networks.CONFIGS[kind]) for kind in ("dense", "llama"))
    monkeypatch.setattr(kernels, "missing", lambda: ["flash-linear-attention"])
    line = kernels.check({"qwen": dense, "other": llama}, required=False)
    assert (
        "flash-linear-attention" in line and "qwen" in line and "other" not in line and "pip install" in line
    )
    assert kernels.check({"other": llama}, required=True) == ""
    with pytest.raises(InputError, match=r"hardware\.require_fast_kernels"):
        kernels.check({"qwen": dense}, required=True)
    monkeypatch.setattr(kernels, "missing", list)
    assert kernels.check({"qwen": dense}, required=True) == ""
