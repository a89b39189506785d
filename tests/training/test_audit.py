"""What the audit of a stage catches and counts, and what it holds while it looks at frozen weights."""

import pytest
import torch
import workers
from test_methods import train
from torch.utils._python_dispatch import TorchDispatchMode
from workers import forked  # noqa: F401 (a fixture)

from implicit_sparsity.methods.base import Method
from implicit_sparsity.methods.lora import Lora
from implicit_sparsity.methods.orthogonal import Orthogonal
from implicit_sparsity.models import ffn, forward, loading
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


def test_census_catches_a_parameter_without_gradient_and_a_frozen_one_that_moved(nano, tmp_path, monkeypatch):
    def idle(self, stage):
        model = super(Lora, self).begin(stage)
        model.idle = torch.nn.Parameter(torch.ones(1))
        return model

    with monkeypatch.context() as patch, pytest.raises(audit.StageFailed, match=r"1 declared .* idle"):
        patch.setattr(Lora, "begin", idle)
        train(nano, "dense", "lora", 1, tmp_path / "idle")

    def nudge(self, model):
        with torch.no_grad():
            forward.base_network(model).model.norm.weight.add_(1e-3)

    with monkeypatch.context() as patch, pytest.raises(audit.StageFailed, match=r"frozen .*norm"):
        patch.setattr(Lora, "step", nudge)
        train(nano, "dense", "lora", 1, tmp_path / "moved")


def test_experts_that_no_token_reached_are_counted(nano, tmp_path, monkeypatch):
    """With routers that send every token to two experts, six of eight have nothing to learn from."""
    create = loading.load

    def biased(*args, **kwargs):
        model = create(*args, **kwargs)
        for block in ffn.feed_forwards(model):
            inputs = torch.nn.functional.one_hot(torch.tensor(0), 32).float()
            block.mlp.gate.weight.copy_(torch.zeros(8, 32))
            block.mlp.gate.weight[:2] = 1e-6 * inputs
        return model

    monkeypatch.setattr(loading, "load", lambda *a, **k: torch.no_grad()(biased)(*a, **k))
    _, _, result, _ = train(nano, "mixture", "lora", 1, tmp_path / "x")
    outcome = result["audit"]
    assert outcome["expert_tensors"] == 4 * 2 * 8  # layers, fused parameters, experts
    assert outcome["expert_tensors_without_gradient"] > 0
    monkeypatch.undo()
    _, _, result, _ = train(nano, "mixture", "lora", 1, tmp_path / "y")
    assert result["audit"]["expert_tensors_without_gradient"] < outcome["expert_tensors_without_gradient"]


@pytest.mark.usefixtures("forked")
def test_audit_refuses_parts(nano, tmp_path, monkeypatch):
    monkeypatch.setattr(Orthogonal, "sharded", True)
    with pytest.raises(audit.StageFailed, match="the constraint audit needs whole weights"):
        workers.train(nano, "dense", "orthogonal", 2, tmp_path / "x")
