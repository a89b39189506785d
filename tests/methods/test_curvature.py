"""Curvature: the constraint on AdamW's real step, stages that follow each other, and the control."""

import networks
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.curvature import Curvature
from implicit_sparsity.models import adapters, forward, loading, lowrank
from implicit_sparsity.options import load
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, stage
from implicit_sparsity.updates import curvature_mask

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


def train(nano, kind, count, folder, previous=None, options=None, **more):
    """Stage ``count`` of code, math: (stage, method, result)."""
    model, tokens = nano(kind)
    domains = ["code", "math"][:count]
    settings = networks.TRAINING | {"steps": 3} | more
    here = stage.Stage(
        str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous)
    )
    method = load("methods", "curvature", **(options or {}))
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return here, method, result


def pair(nano, kind, place, options=None, **more):
    train(nano, kind, 1, place / "1", None, options, **more)
    return train(nano, kind, 2, place / "2", place / "1", options, **more)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("options", [{}, {"basis": "random"}, {"energy": 0.5, "max_rank": 8}])
def test_second_stage_writes_no_zeroed_entry(nano, kind, options, tmp_path, caplog):
    """On every step, and from the saved folders alone: the stacked LoRA's second half."""
    with caplog.at_level("INFO"):
        _, method, result = pair(nano, kind, tmp_path, options)
    assert result["audit"]["constraint_steps_audited"] == 3
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    assert ("no linear layers: frozen" in caplog.text) == (kind == "mixture")
    assert "zeroed entries hold" in caplog.text
    first = lowrank.snapshot(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "1"))
    second = lowrank.factors(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "2"))
    before = tensors.load_state(tmp_path / "1")
    assert set(first) == set(second) == set(method.masks) and not any(".experts." in name for name in second)
    for name, factor in second.items():
        a, b = (tensor.detach().double()[0] for tensor in factor.views)
        dw = b @ a - (first[name][1] @ first[name][0])[0].double()
        inputs, gradients = (
            curvature_mask.Side.of(before[f"{name}.{part}"], method.max_rank)
            for part in ("inputs", "gradients")
        )
        if method.basis == "random":
            inputs, gradients = method.masks[name].inputs, method.masks[name].gradients
        entries = gradients.basis.T @ dw @ inputs.basis * method.masks[name].zeroed[:-1, :-1]
        assert method.masks[name].zeroed.any() and entries.norm() < 1e-4 * dw.norm() > 0, name


def test_audit_fails_without_reprojection(nano, tmp_path, monkeypatch):
    """A projected start is not enough: AdamW's step leaves the allowed entries."""
    train(nano, "dense", 1, tmp_path / "1")
    project, calls = Curvature.step, []

    def only_at_the_start(self, model):
        calls.append(1)
        if len(calls) == 1:
            project(self, model)

    monkeypatch.setattr(Curvature, "step", only_at_the_start)
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", 2, tmp_path / "x", tmp_path / "1")


def test_control_zeroes_as_many_entries_in_a_random_basis(nano, tmp_path):
    train(nano, "dense", 1, tmp_path / "1")
    _, ours, _ = train(nano, "dense", 2, tmp_path / "2", tmp_path / "1")
    _, random, _ = train(nano, "dense", 2, tmp_path / "r", tmp_path / "1", Curvature.CONTROLS["random"])
    for name, mask in ours.masks.items():
        other = random.masks[name]
        assert torch.equal(mask.zeroed, other.zeroed) and torch.equal(mask.off_a, other.off_a), name
        assert not torch.allclose(mask.inputs.basis, other.inputs.basis, atol=0.1)
        identity = torch.eye(other.inputs.basis.shape[1], dtype=torch.float64)
        assert torch.allclose(other.inputs.basis.T @ other.inputs.basis, identity, atol=1e-10)


def test_bfloat16_packed_and_checkpointed_stages_keep_their_promise(nano, tmp_path):
    """And PEFT alone gives training's network: the same but for rounding, where sums are float32."""
    more = {"precision": "bf16", "packing": True, "gradient_checkpointing": True}
    here, _, result = pair(nano, "dense", tmp_path, **more)
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    loaded = adapters.add_adapter(loading.load(nano("dense")[0], "bf16"), tmp_path / "2")
    with torch.no_grad():
        ours, alone = (forward.hidden_states(m.float(), IDS) for m in (here.model, loaded))
    assert (ours - alone).norm() < 1e-4 * ours.norm()


def test_state_does_not_grow_with_domains_and_holds_both(nano, tmp_path):
    pair(nano, "dense", tmp_path, {"max_rank": 5})
    one, two = (tensors.load_state(tmp_path / str(count)) for count in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in two.items():
        assert tensor.shape == one[name].shape and (tensor.dim() == 1 or len(tensor) <= 6)
        if tensor.dim() == 1:
            assert (tensor > one[name]).all()


def test_a_router_is_refused():
    with pytest.raises(InputError, match="found True, allowed: false"):
        load("methods", "curvature", router=True)
