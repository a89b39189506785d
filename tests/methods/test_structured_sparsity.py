"""Structured sparsity: each domain writes its own track, the control the first one again."""

import networks
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.options import load
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, stage
from implicit_sparsity.updates import freed_weights, wanda

DOMAINS = ["code", "math", "medical"]


def train(nano, kind, options, count, folder, previous=None, **more):
    model, tokens = nano(kind)
    domains, settings = DOMAINS[:count], networks.TRAINING | {"steps": 3} | more
    here = stage.Stage(
        str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous)
    )
    method = load("methods", "structured_sparsity", **{"learning_rate": 2e-3} | options)
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with method.running(here.model), torch.no_grad():
        result["weights"] = {name: w.tensor.clone() for name, w in method.trained.weights.items()}
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return method, result


@pytest.mark.parametrize(
    ("kind", "options", "more"),
    [
        ("dense", {"targets": "all", "partitions": 3}, {}),
        ("mixture", {"partitions": 2}, {}),
        (
            "mixture",
            {"partitions": 2},
            {"packing": True, "gradient_checkpointing": True, "precision": "bf16"},
        ),
    ],
)
def test_each_domain_writes_its_track_and_nothing_else(nano, kind, options, more, tmp_path):
    """Of the saved models alone: between stages exactly the partition's positions moved, bit by bit."""
    base = wanda.weights(loading.load(nano(kind)[0]), options.get("targets", "mlp"))
    previous, before = None, None
    for count in range(1, options["partitions"] + 1):
        folder = tmp_path / str(count)
        _, result = train(nano, kind, options, count, folder, previous, **more)
        outcome = result["audit"]
        assert outcome["constraint_violation_max_step"] == 0 and outcome["constraint_steps_audited"] == 3
        bits, model = tensors.load_state(folder), loading.load(folder)
        now = {name: p.detach() for name, p in model.named_parameters()}
        assert sum(len(b) for b in bits.values()) <= sum(w.tensor.numel() for w in base.values()) / 8 + len(
            bits
        )
        trained = 0
        for name, weight in base.items():
            keep = freed_weights.unpack(bits[f"kept.{name}"], weight.view.shape)
            assert (keep.unflatten(-1, (-1, 4)).sum(-1) == 2).all()
            value = now[name].reshape(weight.view.shape)
            mine = torch.zeros(keep.numel(), dtype=torch.bool)
            mine[freed_weights.positions(keep, count - 1, options["partitions"]).long()] = True
            mine = mine.view_as(keep)
            trained += int(mine.sum())
            if before is None:
                assert (value[~keep & ~mine] == 0).all(), "later domains' partitions are still empty"
            else:
                was = before[name].reshape(value.shape)
                assert torch.equal(value[~mine], was[~mine]) and (was[mine] == 0).all()
            assert ".experts." in name or (value[mine] != 0).float().mean() > 0.9
            assert torch.equal(now[name], result["weights"][name].float()), "saved as it was computed with"
        assert trained == outcome["trainable_parameters"]
        others = before or dict(loading.load(nano(kind)[0], more.get("precision", "fp32")).named_parameters())
        frozen = [n for n in now if n not in base]
        assert frozen and all(torch.equal(now[n], others[n].float()) for n in frozen)
        previous, before = folder, now
    with pytest.raises(InputError, match="raise partitions"):
        train(
            nano,
            kind,
            options | {"partitions": count - 1},
            count,
            tmp_path / "x",
            tmp_path / str(count - 1),
            **more,
        )


def test_shared_control_writes_the_first_track_again(nano, tmp_path):
    options = {"partition": "shared"}
    first, result = train(nano, "dense", options, 1, tmp_path / "1")
    second, again = train(nano, "dense", options, 2, tmp_path / "2", tmp_path / "1")
    assert result["audit"]["trainable_parameters"] == again["audit"]["trainable_parameters"]
    own, _ = train(nano, "dense", {}, 1, tmp_path / "own")
    for name, places in first.trained.places.items():
        assert torch.equal(places, second.trained.places[name])
        assert torch.equal(first.trained.values[name], own.trained.values[name]), "the first stages are one"
        assert not torch.equal(first.trained.values[name], second.trained.values[name])


def test_audit_catches_a_track_that_is_not_the_domains_own(nano, tmp_path, monkeypatch):
    """Positions of all partitions together, or of kept weights: the same audit fails the stage."""
    train(nano, "dense", {}, 1, tmp_path / "1")
    monkeypatch.setattr(
        freed_weights, "positions", lambda keep, *_: (~keep).flatten().nonzero().flatten().int()
    )
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", {}, 2, tmp_path / "2", tmp_path / "1")
    monkeypatch.setattr(freed_weights, "positions", lambda keep, *_: keep.flatten().nonzero().flatten().int())
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", {}, 2, tmp_path / "3", tmp_path / "1")
