"""What the audit of frozen weights holds while it looks at them."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from implicit_sparsity.methods.base import Method
from implicit_sparsity.training import audit


class Sums(TorchDispatchMode):
    """Notes how many numbers each sum is of."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.name == "aten::sum":
            self.sizes.append(args[0].numel())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_frozen_weights_are_summed_in_pieces(dtype, monkeypatch):
    """A GPU makes 8 bytes of each number before it sums: of the 27B's embedding 10 GB (on an H200)."""
    weight = torch.randn(70, 30, generator=torch.Generator().manual_seed(0)).mul(40).to(dtype)
    model = torch.nn.Module()
    model.config = type("Config", (), {"get_text_config": lambda self: self})()
    model.frozen = torch.nn.Parameter(weight, requires_grad=False)
    model.trained = torch.nn.Parameter(torch.ones(1))
    bits = {4: torch.int32, 2: torch.int16, 1: torch.int8}[weight.element_size()]
    whole = int(weight.view(bits).sum(dtype=torch.int64))
    monkeypatch.setattr(audit, "SUMMED_AT_ONCE", 256)
    with Sums() as seen:
        parameter_audit = audit.Audit(model, Method(), 1e-3)
    assert parameter_audit.frozen == {"frozen": whole}
    assert max(seen.sizes) == 256 and sum(seen.sizes) == 2100
    weight[69, 29] += 1  # the last piece counts, too
    assert parameter_audit._frozen() != parameter_audit.frozen
