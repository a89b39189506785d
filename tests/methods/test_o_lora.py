"""O-LoRA: its penalty against the formula by hand, and what it is without one."""

from dataclasses import dataclass

import numpy as np
import pytest
import test_methods
import torch
from safetensors.torch import load_file
from test_methods import KINDS, train, trained  # noqa: F401 (a fixture)

from implicit_sparsity.methods.base import LoraMethod
from implicit_sparsity.models import lowrank
from implicit_sparsity.storage import tensors
from implicit_sparsity.training.trainer import last_checkpoint

FILE = "adapter_model.safetensors"


@dataclass
class Stacked(LoraMethod):
    """A LoRA of its own for each domain, the earlier ones frozen below it; nothing else."""

    def begin(self, stage):
        self.first = stage.previous is None
        if not self.first:
            stage.keep_previous()
        return self.new_adapter(stage)

    def save(self, stage, folder):
        if self.first:
            super().save(stage, folder)
        else:
            stage.save_stacked(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_zero_is_a_plain_new_lora_stacked(trained, nano, kind, tmp_path, monkeypatch):  # noqa: F811
    first = trained(kind, "o_lora")[0][0]
    train(nano, kind, "o_lora", 2, tmp_path / "zero", first, {"weight": 0.0})
    monkeypatch.setattr(test_methods, "load", lambda room, name, **options: Stacked())
    train(nano, kind, "stacked", 2, tmp_path / "plain", first, {})
    assert (tmp_path / "zero" / FILE).read_bytes() == (tmp_path / "plain" / FILE).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_penalty_is_the_formula(trained, nano, kind, tmp_path):  # noqa: F811
    """By numpy, from the files alone: ranks of stage 1 against those that stage 2 added, expert by expert."""
    first, second = (run[0] for run in trained(kind, "o_lora"))
    here, method, result, _ = train(nano, kind, "o_lora", 2, tmp_path / "x", first)
    stacked, wanted, rank = load_file(second / FILE), 0.0, method.rank
    for name, tensor in stacked.items():
        if ".lora_A." in name:
            experts = tensor.numpy().reshape(-1 if ".experts." in name else 1, 2 * rank, tensor.shape[1])
            old = load_file(first / FILE)[name].numpy().reshape(len(experts), rank, -1)
            np.testing.assert_array_equal(experts[:, :rank], old)
            wanted += sum(np.abs(a[:rank] @ a[rank:].T).sum() for a in experts.astype(np.float64))
    model = here.model
    assert sum(part.item() for part in method.overlaps(model)) == pytest.approx(wanted, rel=1e-5)
    loss = method.loss(model, None, torch.tensor(1.5))
    assert loss.item() == pytest.approx(1.5 + method.weight * wanted, rel=1e-5)
    assert result["state"].keys() == lowrank.factors(model).keys()
    left = tensors.load_state(second)
    assert all(a.shape[1] == 2 * rank and torch.equal(a, result["state"][n]) for n, a in left.items())


def test_penalty_turns_new_directions_off_the_old_ones(trained, nano, tmp_path):  # noqa: F811
    """|A_old A_new'| after twelve steps, with the penalty and without; and it is what is left of the loss."""
    first, overlap = trained("dense", "o_lora")[0][0], {}
    for weight in (0.0, 1.0):
        folder = tmp_path / str(weight)
        here, method, result, _ = train(
            nano, "dense", "o_lora", 2, folder, first, {"weight": weight}, steps=12
        )
        overlap[weight] = sum(part.item() for part in method.overlaps(here.model))
        assert len(result["curve"]) == 12 and last_checkpoint(tmp_path / f"{weight}.scratch") is None
    assert overlap[1.0] < 0.5 * overlap[0.0]


def test_state_and_adapter_grow_by_one_lora_a_stage(trained):  # noqa: F811
    sizes = {
        file: [(run[0] / file).stat().st_size for run in trained("dense", "o_lora")]
        for file in (FILE, "state.safetensors")
    }
    for first, second in sizes.values():
        assert second == pytest.approx(2 * first, rel=0.2)
    assert sizes["state.safetensors"][1] < sizes[FILE][1]
