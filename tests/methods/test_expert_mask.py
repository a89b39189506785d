"""ESFT: the fewest experts by hand, and who moves."""

from contextlib import nullcontext

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.expert_mask import ExpertMask, select_experts
from implicit_sparsity.models import adapters, loading, lowrank
from implicit_sparsity.options import load
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, stage
from implicit_sparsity.updates import expert_selection


@pytest.mark.parametrize(
    ("row", "p", "wanted"),
    [
        ([4, 3, 2, 1], 0.4, [0]),
        ([4, 3, 2, 1], 0.41, [0, 1]),
        ([4, 3, 2, 1], 0.7, [0, 1]),
        ([1, 2, 3, 4], 0.9, [3, 2, 1]),
        ([4, 3, 2, 1], 1, [0, 1, 2, 3]),
        ([1, 1, 1, 1], 0.5, [0, 1]),  # ties: the lower number
        ([2, 5, 5, 1], 0.1, [1]),
        ([2, 5, 5, 1], 0.6, [1, 2]),
        ([0.5, 0.3, 0.2], 0.8, [0, 1]),  # 0.8 in float64 is more than 0.5 + 0.3
        ([0.1] * 10, 0.3, [0, 1, 2]),  # 0.1 + 0.1 + 0.1 in float64 is more than 0.3
        ([0.1] * 10, 0.7, list(range(7))),
        ([1 / 3] * 3, 2 / 3, [0, 1]),
        ([0, 7, 0], 1.0, [1]),  # the fewest that reach all: those without a score add nothing
        ([0, 7, 0], 1e-9, [1]),
        ([0, 0, 0], 0.5, []),
        ([0, 0, 0], 1, []),
        ([1, 1e-15], 1, [0, 1]),
        ([1, 1e-15], 0.999999, [0]),
        ([1e-320, 3e-320], 0.5, [1]),
        ([1e308, 1e308, 1e308], 0.6, [0, 1]),
        ([5], 0.2, [0]),
    ],
)
def test_fewest_experts_by_hand(row, p, wanted):
    assert select_experts([row], p) == [wanted]
    got = select_experts(np.array([row, row[::-1]]), p)
    assert got[0] == wanted and len(got[1]) == len(wanted)
    assert all(type(e) is int for layer in got for e in layer)


def test_float32_and_float16_shares_reach_what_they_say():
    for kind in (np.float32, np.float16):
        row = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], kind)
        assert select_experts(row, 0.8) == [[0, 1], [2, 0]]
        assert select_experts(torch.from_numpy(row), 0.79) == [[0, 1], [2, 0]]


def test_every_random_choice_is_the_fewest_and_reaches_p():
    random = np.random.default_rng(0)
    for _ in range(300):
        scores = random.integers(0, 6, (3, 7))
        p = random.integers(1, 21) / 20
        for row, chosen in zip(scores, select_experts(scores, p), strict=True):
            ordered = sorted(range(7), key=lambda e: (-row[e], e))
            assert chosen == ordered[: len(chosen)]
            if row.sum():  # whole numbers: 20 * share against 20 * p, exactly
                assert 20 * row[chosen].sum() >= round(20 * p) * row.sum()
                assert 20 * row[chosen[:-1]].sum() < round(20 * p) * row.sum()


@pytest.mark.parametrize(
    ("scores", "p"),
    [
        ([1, 2], 0.5),
        ([[1, 2], [1]], 0.5),
        ([[1, float("nan")]], 0.5),
        ([[1, -1]], 0.5),
        ([["a", "b"]], 0.5),
        ([[]], 0.5),
        ([[1, 2]], 0),
        ([[1, 2]], 1.01),
        ([[1, 2]], float("nan")),
        ([[1, 2]], None),
    ],
)
def test_what_is_no_score_or_no_share_is_one_clear_line(scores, p):
    with pytest.raises(InputError):
        select_experts(scores, p)


def train(nano, kind, options, count, folder, previous=None, **more):
    model, tokens = nano(kind)
    domains, settings = ["code", "math"][:count], networks.TRAINING | {"steps": 3} | more
    here = stage.Stage(
        str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous)
    )
    method = load("methods", "expert_mask", **{"p": 0.4} | options)
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return method, result


def factors(nano, folder):
    return lowrank.snapshot(adapters.add_adapter(loading.load(nano("mixture")[0]), folder))


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {}),
        ({"score": "gate", "p": 0.3}, {}),
        ({"choose": "random"}, {"packing": True, "gradient_checkpointing": True, "precision": "bf16"}),
    ],
)
def test_experts_that_were_not_chosen_keep_their_factors_to_the_bit(nano, options, more, tmp_path):
    """From the saved folders, under AdamW with decay and clipping: chosen slices moved, no others did."""
    train(nano, "mixture", options, 1, tmp_path / "1", **more)
    _, second = train(nano, "mixture", options, 2, tmp_path / "2", tmp_path / "1", **more)
    chosen = tensors.load_state(tmp_path / "2")
    before, after = factors(nano, tmp_path / "1"), factors(nano, tmp_path / "2")
    assert (
        second["audit"]["constraint_violation_max_step"] == second["audit"]["constraint_violation_total"] == 0
    )
    moved = 0
    for name, (a, b) in after.items():
        same = [
            torch.equal(a[e], before[name][0][e]) and torch.equal(b[e], before[name][1][e])
            for e in range(len(a))
        ]
        if len(a) == 1:
            assert same == [True] and not b.any(), "the shared expert is left alone"
            continue
        picked = set(chosen[f"experts.{name.split('.')[2]}"].tolist())
        assert 0 < len(picked) < 8 and all(same[e] for e in range(8) if e not in picked)
        moved += sum(not same[e] for e in picked)
    assert moved > 0


def test_random_control_takes_equally_many(nano, tmp_path):
    result, _ = train(nano, "mixture", {}, 1, tmp_path / "factors")
    drawn, _ = train(nano, "mixture", {"choose": "random"}, 1, tmp_path / "drawn")
    assert [len(x) for x in result.chosen] == [len(x) for x in drawn.chosen] and result.chosen != drawn.chosen
    again, _ = train(nano, "mixture", {"choose": "random"}, 1, tmp_path / "again")
    assert again.chosen == drawn.chosen
    names = ("adapter_model.safetensors", "state.safetensors")
    assert all((tmp_path / "drawn" / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)


def test_audit_catches_experts_that_nobody_holds_back(nano, tmp_path, monkeypatch):
    """Masked, but slices not put back after AdamW's decay; and not masked at all: both stages fail."""
    train(nano, "mixture", {"p": 1.0}, 1, tmp_path / "1")
    monkeypatch.setattr(ExpertMask, "step", lambda self, model: None)
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "mixture", {"p": 0.2}, 2, tmp_path / "2", tmp_path / "1", weight_decay=0.3)
    monkeypatch.setattr(expert_selection, "masked_gradients", lambda pairs: nullcontext())
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "mixture", {"p": 0.2}, 2, tmp_path / "3", tmp_path / "1")


def test_one_rounding_of_an_expert_that_was_not_chosen_fails_the_stage(nano, tmp_path, monkeypatch):
    put_back = ExpertMask.step

    def nudged(self, model):
        put_back(self, model)
        name, factor = next(iter(self.slices.factors.items()))
        held = int((~self.slices.trained[name]).nonzero()[0])
        with torch.no_grad():
            entry = factor.views[0][held, 0, :1]
            entry.copy_(torch.nextafter(entry, entry + 1))

    monkeypatch.setattr(ExpertMask, "step", nudged)
    with pytest.raises(audit.StageFailed, match=r"where it must not \(limit 0\)"):
        train(nano, "mixture", {}, 1, tmp_path / "1", constraint_tolerance=1.0)


def test_a_dense_model_is_one_clear_line(nano, tmp_path):
    with pytest.raises(InputError, match="dense network") as error:
        train(nano, "dense", {}, 1, tmp_path / "x")
    assert "methods.expert_mask.models" in str(error.value)
