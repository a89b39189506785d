"""The loop's steps by hand, and the restart points that it leaves."""

import copy

import networks
import pytest
import torch
from test_methods import train

from implicit_sparsity.methods.lora import Lora
from implicit_sparsity.options import load
from implicit_sparsity.training import audit, fit, trainer
from implicit_sparsity.training.stage import Stage

RATE, WARMUP, DECAY, CLIP = 1e-2, 2, 0.1, 0.5
TRAINING = networks.TRAINING | {"steps": 3, "warmup": WARMUP, "weight_decay": DECAY, "clip": CLIP}


@pytest.fixture
def loop(nano):
    """(model with a LoRA, its method, batches of three steps)."""
    model, tokens = nano("llama")
    stage = Stage(str(model), ["code"], [tokens["code"]], 0, TRAINING)
    method = load("methods", "lora", rank=2, dropout=0.0)
    documents = stage.documents("train")
    batches = fit.share([documents[4 * step :][:4] for step in range(3)], packing=False)
    return method.begin(stage), method, batches


def mean_nats(model, batch):
    """-log p of the completion tokens, from whole logits."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())


def steps_by_hand(model, batches):
    """AdamW (Loshchilov & Hutter 1711.05101) on clipped gradients: [(loss, rate, norm)]; writes the model."""
    trained = [p for p in model.parameters() if p.requires_grad]
    first, second, rows = [0.0] * len(trained), [0.0] * len(trained), []
    for step, batch in enumerate(batches, 1):
        loss = mean_nats(model, batch)
        gradients = torch.autograd.grad(loss, trained)
        norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        rate = RATE * min(1, step / WARMUP)
        rows.append((loss.item(), rate, norm.item()))
        for i, (p, g) in enumerate(zip(trained, gradients, strict=True)):
            g = g * min(1, CLIP / norm)
            first[i], second[i] = 0.9 * first[i] + 0.1 * g, 0.999 * second[i] + 0.001 * g.square()
            m, v = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            with torch.no_grad():
                p.mul_(1 - rate * DECAY).sub_(rate * m / (v.sqrt() + 1e-8))
    return rows


def test_a_step_is_adamw_on_the_clipped_gradient_of_the_mean_token(float64, loop, tmp_path):
    """Gradients round to 4e-14 (see workers.py), weights so to 3 * 1e-2 * 4e-14 / 1e-8 = 1e-7."""
    model, method, batches = loop
    expected = copy.deepcopy(model)
    rows = steps_by_hand(expected, batches)
    assert min(norm for *_, norm in rows) > CLIP, "or nothing is clipped"
    curve = fit.optimise(model, method, batches, TRAINING, tmp_path, seed=0)
    for number, (row, (loss, rate, norm)) in enumerate(zip(curve, rows, strict=True), 1):
        assert (row["step"], row["constraint_violation"]) == (number, None)
        assert row["loss"] == pytest.approx(loss, abs=1e-5)
        assert row["learning_rate"] == pytest.approx(rate)
        assert row["grad_norm"] == pytest.approx(norm, rel=1e-4)
    for (name, p), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p, wanted, atol=1e-6, rtol=0, msg=name)


def test_a_method_has_a_learning_rate_of_its_own(loop, tmp_path):
    model, _, batches = loop
    method = load("methods", "lora", learning_rate=3e-3)
    curve = fit.optimise(model, method, batches, TRAINING, tmp_path, seed=0)
    assert [row["learning_rate"] for row in curve] == pytest.approx([1.5e-3, 3e-3, 3e-3])


@pytest.mark.parametrize("every, steps", [(1, {2, 3}), (2, {2, 3}), (3, set())])
def test_two_restart_points_are_kept_and_none_where_a_stage_is_short(loop, tmp_path, every, steps):
    model, method, batches = loop
    fit.optimise(model, method, batches, TRAINING | {"checkpoint_every": every}, tmp_path, seed=0)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {f"checkpoint-{step}" for step in steps}
    for step in steps:
        files = {path.name for path in (tmp_path / f"checkpoint-{step}").iterdir()}
        assert {"part-00000-00000.safetensors", "loop.json", "complete"} <= files
        assert not files & {"optimizer.pt", "scheduler.pt", "adapter_model.safetensors", "model.safetensors"}


def test_the_newest_whole_restart_point_counts_and_what_is_half_made_goes(tmp_path):
    assert trainer.last_checkpoint(tmp_path) is None and trainer.last_checkpoint(tmp_path / "none") is None
    for number, complete in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{number}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{number}" / trainer.COMPLETE).touch()
    assert trainer.last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]


def test_loss_that_is_not_finite_stops_the_stage(nano, tmp_path, monkeypatch):
    monkeypatch.setattr(Lora, "loss", lambda self, model, batch, loss: loss * float("nan"))
    with pytest.raises(audit.StageFailed, match=r"step 1: the (loss|gradient of \S+) is not finite"):
        train(nano, "dense", "lora", 1, tmp_path / "x")
