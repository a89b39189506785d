"""OSF: the share that stays, stages in a row, and what an audit finds without re-projection."""

import networks
import pytest
import torch
from safetensors.torch import load_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.osf import Osf
from implicit_sparsity.models import adapters, loading
from implicit_sparsity.options import load
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit
from implicit_sparsity.training.stage import Stage
from implicit_sparsity.updates import singular_subspaces

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
FAST = {"learning_rate": 3e-3}


def train(nano, kind, count, folder, previous=None, options=None, method=None, **more):
    """Stage ``count`` of code, math: (stage, method, result)."""
    model, tokens = nano(kind)
    domains = ["code", "math"][:count]
    settings = networks.TRAINING | {"steps": 3} | more
    here = Stage(str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous))
    method = method or load("methods", "osf", **FAST | (options or {}))
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return here, method, result


def test_the_share_that_stays_grows_with_the_domains():
    grown = [load("methods", "osf").share(count) for count in range(1, 6)]
    assert grown == pytest.approx([0.3, 0.5, 0.7, 0.9, 0.9])
    assert load("methods", "osf", keep=0.95).share(3) == 0.95
    with pytest.raises(InputError, match="keep"):
        load("methods", "osf", keep=0.0)


def test_a_share_that_keeps_nothing_is_one_clear_line(nano, tmp_path):
    with pytest.raises(InputError, match=r"a share of 0\.01 keeps no direction of any layer: raise keep"):
        train(nano, "dense", 1, tmp_path / "1", options={"keep": 0.01})


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_second_stage_keeps_the_large_directions_of_the_first(nano, kind, tmp_path, caplog):
    """From the saved models alone; all that is no adapted linear layer is the base's to the bit."""
    with caplog.at_level("WARNING"):
        train(nano, kind, 1, tmp_path / "1")
        _, method, result = train(nano, kind, 2, tmp_path / "2", tmp_path / "1")
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    assert ("routed experts" in caplog.text) == (kind == "mixture")
    assert ("too small to part" in caplog.text) == (kind == "mixture"), "its shared expert's gate has one row"
    base = loading.load(nano(kind)[0]).state_dict()
    one, two = (loading.load(tmp_path / str(count)).state_dict() for count in (1, 2))
    assert base.keys() == one.keys() == two.keys() and tensors.load_state(tmp_path / "2") == {}
    for name, old in one.items():
        if name.removesuffix(".weight") not in method.layers:
            assert torch.equal(old, base[name]) and torch.equal(two[name], base[name]), name
            continue
        u, s, v = torch.linalg.svd(old.double(), full_matrices=False)
        k, change = int(0.5 * len(s)), (two[name] - old).double()
        assert change.norm() > 1e-3 and (old - base[name]).norm() > 1e-3
        assert (u[:, :k].T @ change).norm() < 1e-3 * change.norm(), name
        assert (change @ v[:k].T).norm() < 1e-3 * change.norm(), name
    experts = {name for name in one if ".experts." in name or name.endswith("mlp.gate.weight")}
    assert bool(experts) == (kind == "mixture") and all(torch.equal(base[n], two[n]) for n in experts)


def test_audit_fails_without_reprojection_and_the_control_is_watched(nano, tmp_path):
    method = load("methods", "osf", **FAST, **load("methods", "osf").CONTROLS["unprojected"])
    assert method.constrained is False and load("methods", "osf").constrained is True
    _, _, result = train(nano, "dense", 1, tmp_path / "1", method=method)
    audited = result["audit"]  # what lands there is reported, though nothing was promised
    assert audited["constraint_steps_audited"] == len(result["curve"]) and not audited["promised"]
    assert audited["constraint_violation_max_step"] > 0.1
    promising = load("methods", "osf", **FAST, reproject=False)
    promising.constrained = True
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", 2, tmp_path / "2", tmp_path / "1", method=promising)


def test_why_a_whole_model_pefts_folder_does_not_hold_a_second_stage(nano, tmp_path):
    """PEFT saves the trained halves alone. On the base that they were taken from they load exactly; on the
    first base a second stage's do not."""
    base = nano("dense")[0]
    seen = {}

    def train_and_save(network, share, folder):
        model = adapters.add_osf(network, share)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(3):
            model(input_ids=IDS, labels=IDS).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.save_pretrained(str(folder))
        with torch.no_grad():
            seen[folder] = model(input_ids=IDS).logits
        return model.merge_and_unload()

    merged = train_and_save(loading.load(base), 0.3, tmp_path / "1")
    train_and_save(merged, 0.5, tmp_path / "2")
    names = {name.rpartition(".")[2] for name in load_file(tmp_path / "1" / "adapter_model.safetensors")}
    assert names == {"U_low", "S_low", "V_low"}
    for folder, same in ((tmp_path / "1", True), (tmp_path / "2", False)):
        loaded = adapters.add_adapter(loading.load(base), folder)
        with torch.no_grad():
            got = loaded(input_ids=IDS).logits
        assert torch.allclose(got, seen[folder], atol=1e-3) == same


def test_bfloat16_rounding_is_handed_to_the_next_stage(nano, tmp_path):
    """What rounding the saved model loses is in the state: the next stage starts a hundred times closer."""
    more = {"precision": "bf16", "packing": True, "gradient_checkpointing": True}
    runs = []

    class Watched(Osf):
        def end(self, stage):
            starts = {name: layer.get_base_layer().weight.clone() for name, layer in self.layers.items()}
            runs.append((starts, singular_subspaces.merged(self.layers)))
            return super().end(stage)

    for count, previous in ((1, None), (2, tmp_path / "1")):
        method = Watched(learning_rate=1e-3)
        _, _, result = train(nano, "dense", count, tmp_path / str(count), previous, method=method, **more)
        assert result["audit"]["constraint_violation_max_step"] <= 1e-4
    (first, exact), (second, _) = runs
    saved, lost = loading.load(tmp_path / "1", "bf16").state_dict(), tensors.load_state(tmp_path / "1")
    assert lost.keys() == first.keys() == second.keys()
    for name, start in second.items():
        rounded = saved[f"{name}.weight"]
        assert rounded.dtype == lost[name].dtype == torch.bfloat16
        apart = (rounded.float() - exact[name]).norm()
        assert apart > 0.01 * (exact[name] - first[name]).norm() > 0
        assert (start - exact[name]).norm() < 0.01 * apart, name
