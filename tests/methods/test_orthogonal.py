"""B: every form and subspace holds on the real step; what it refuses."""

import networks
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.orthogonal import Orthogonal
from implicit_sparsity.models import adapters, loading, lowrank
from implicit_sparsity.models.protected import whole_subspace
from implicit_sparsity.options import load
from implicit_sparsity.passes import functional_change, stage_change, write_energy
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, stage
from implicit_sparsity.updates import subspace

SMALL = {"max_rank": 6, "sample_tokens": 128}
FORMS = [
    {},
    {"form": "frozen"},
    {"subspace": "gradients"},
    {"subspace": "random"},
    {"form": "frozen", "subspace": "gradients", "fixed_rank": 3},
]


def train(nano, kind, options, count, folder, previous=None, **more):
    """Stage ``count`` of code, math: (stage, method, result)."""
    model, tokens = nano(kind)
    domains = ["code", "math"][:count]
    settings = networks.TRAINING | {"steps": 3} | more
    here = stage.Stage(
        str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous)
    )
    method = load("methods", "orthogonal", **SMALL | options)
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return here, method, result


def pair(nano, kind, options, place, **more):
    train(nano, kind, options, 1, place / "1", **more)
    return train(nano, kind, options, 2, place / "2", place / "1", **more)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("options", FORMS, ids=lambda o: "-".join(map(str, o.values())) or "default")
def test_update_is_blind_to_what_is_protected(nano, kind, options, tmp_path):
    """Each step's audit, and from the saved folders alone: what stage 2 added gives zero on the subspace."""
    here, method, result = pair(nano, kind, options, tmp_path)
    assert result["audit"]["constraint_steps_audited"] == 3
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    known = tensors.load_state(tmp_path / "1")
    protected = method.bases if options.get("subspace") == "random" else known
    a = lowrank.snapshot(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "1"))
    b = lowrank.factors(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "2"))
    assert b.keys() == known.keys() == a.keys()
    for name, factor in b.items():
        change = factor.views[1] @ factor.views[0] - a[name][1] @ a[name][0]
        assert protected[name].abs().sum() > 0 and change.norm() > 0
        assert (change @ protected[name]).norm() < 1e-4 * change.norm(), name
        if options.get("subspace") == "random":
            assert torch.equal(protected[name].norm(dim=1) > 0.5, known[name].norm(dim=1) > 0.5)
            assert (change @ known[name]).norm() > 1e-2 * change.norm(), "the control protects nothing"
        if options.get("fixed_rank"):
            assert int((known[name].norm(dim=1) > 0.5).sum(1).max()) == min(3, *factor.views[0].shape[2:])
    half = {n for n, p in here.model.named_parameters() if p.requires_grad}
    assert any("lora_A" in n for n in half) == (options.get("form") != "frozen")


def test_packing_checkpointing_and_bfloat16_hold_it_too(nano, tmp_path):
    more = {"packing": True, "gradient_checkpointing": True, "precision": "bf16"}
    options = {"form": "frozen", "subspace": "gradients"}
    _, _, result = pair(nano, "mixture", options, tmp_path, **more)
    assert result["audit"]["constraint_violation_max_step"] <= 1e-5


def test_frozen_and_gradient_stage_is_rerun_to_the_same_bytes(nano, tmp_path):
    for options in ({"form": "frozen", "subspace": "gradients"}, {"subspace": "random"}):
        train(nano, "mixture", options, 1, tmp_path / f"{len(options)}")
        for again in "ab":
            train(
                nano, "mixture", options, 2, tmp_path / f"{len(options)}{again}", tmp_path / f"{len(options)}"
            )
        for file in ("adapter_model.safetensors", "state.safetensors"):
            a, b = ((tmp_path / f"{len(options)}{again}" / file).read_bytes() for again in "ab")
            assert a == b


def test_audit_catches_a_projected_gradient_that_is_not_a_projected_step(nano, tmp_path, monkeypatch):
    """Without re-projection after AdamW's step, the same method must fail its stage."""
    train(nano, "dense", {}, 1, tmp_path / "1")
    monkeypatch.setattr(Orthogonal, "step", lambda self, model: None)
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", {}, 2, tmp_path / "2", tmp_path / "1")


def test_audit_catches_a_frozen_factor_that_is_not_outside(nano, tmp_path, monkeypatch):
    """InfLoRA's A chosen as if nothing were old: B alone trains, and still it violates the constraint."""
    options = {"form": "frozen"}
    train(nano, "dense", options, 1, tmp_path / "1")
    leading = subspace.leading
    monkeypatch.setattr(subspace, "leading", lambda x, basis, *rest: leading(x, None, *rest))
    monkeypatch.setattr(Orthogonal, "project", lambda self, model: None)
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", options, 2, tmp_path / "2", tmp_path / "1")


def test_a_full_subspace_is_one_clear_line(nano, tmp_path):
    everything = {"energy": 1.0, "max_rank": 100, "sample_tokens": 512}
    train(nano, "dense", everything, 1, tmp_path / "full")
    for form in ("projected", "frozen"):
        with pytest.raises(InputError, match=r"no direction is left free in the input of model\.layers\.0"):
            train(nano, "dense", everything | {"form": form}, 2, tmp_path / form, tmp_path / "full")


def test_options_that_contradict_each_other_are_one_clear_line():
    with pytest.raises(InputError, match=r"^fixed_rank: found .*, allowed: at most max_rank"):
        load("methods", "orthogonal", fixed_rank=9, max_rank=8)
    with pytest.raises(InputError, match=r"^strength: found .*, allowed: 0 \| 1 where form is frozen"):
        load("methods", "orthogonal", form="frozen", strength=0.5)


def test_the_change_of_old_outputs_is_bounded_by_the_energy_that_is_not_held(nano, tmp_path, caplog):
    """||dW x||^2 <= ||dW||^2 (1 - energy) ||x||^2 on the select documents that made the subspace, of a real
    stage; and the share that was reached is what the state holds."""
    options = {"energy": 0.8, "max_rank": 64, "sample_tokens": 10**6}
    _, _, first = train(nano, "dense", options, 1, tmp_path / "1")
    train(nano, "dense", options, 2, tmp_path / "2", tmp_path / "1")
    reached = first["report"]["subspace"]
    assert reached["asked"] == 0.8 and reached["capped"] == 0 and "binds" not in caplog.text
    assert {"q", "in_proj_qkv", "down"} < reached.keys() and reached["down"]["min"] >= 0.8 - 1e-6
    model, tokens = nano("dense")
    changes = stage_change.changes(tmp_path / "2", tmp_path / "1", model)
    bases = {write_energy.plain(name): basis for name, basis in tensors.load_state(tmp_path / "1").items()}
    guards = {name: whole_subspace(basis) for name, basis in bases.items()}
    network = adapters.load_checkpoint(model, str(tmp_path / "1"))
    ids = [document.ids for document in Tokens(tokens["code"]).split("select")]
    names, sums = functional_change.measure(network, changes, guards, ids, 1, 512)
    _, first = functional_change.measure(network, changes, guards, [each[:1] for each in ids], 0, 512)
    assert (first[..., 1] > 0.999 * first[..., 0]).all(), "all documents begin alike"
    for name, (x, held, _, _, change) in zip(names, sums.sum(0), strict=True):
        norm = float(torch.linalg.matrix_norm(changes[name].matrix()[0], 2))
        assert held / x >= 0.8 - 1e-3, name
        assert change <= norm**2 * (x - held) * (1 + 1e-6) + 1e-9 * x


def test_a_cap_that_binds_is_reported(nano, tmp_path, caplog):
    _, _, result = train(nano, "dense", {"energy": 0.999, "max_rank": 2}, 1, tmp_path / "1")
    reached = result["report"]["subspace"]
    assert reached["capped"] == 1 and reached["q"]["median"] < 0.9
    assert "max_rank binds" in caplog.text and "raise max_rank" in caplog.text
