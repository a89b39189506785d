"""Self-distillation: the teacher as the stage found it, and no second model."""

import copy

import pytest
import torch
from test_methods import KINDS, logits, train, trained  # noqa: F401 (a fixture)

from implicit_sparsity.models import adapters, batching, forward, loading, losses
from implicit_sparsity.options import load
from implicit_sparsity.training import stage

FILE = "adapter_model.safetensors"


def begun(nano, kind, previous, **options):
    """(stage 2 at its beginning, its method, a batch)."""
    model, tokens = nano(kind)
    folders = [tokens["code"], tokens["math"]]
    here = stage.Stage(str(model), ["code", "math"], folders, 0, {}, previous and str(previous))
    method = load("methods", "self_distillation", **options)
    here.model = method.begin(here)
    return here, method, batching.collate(here.documents("train")[:3])


@pytest.mark.parametrize("kind", KINDS)
def test_teacher_is_what_the_stage_found_and_takes_no_gradient(trained, nano, float64, kind):  # noqa: F811
    """With factors moved, loss and gradients are those with a second network as the teacher."""
    first = trained(kind, "self_distillation")[0][0]
    folder = nano(kind)[0]
    for name, source in (("previous", first), ("base", None)):
        here, method, batch = begun(nano, kind, first, teacher=name, weight=0.7)
        second = adapters.load_checkpoint(folder, source)
        with torch.no_grad():
            for i, p in enumerate(p for p in here.model.parameters() if p.requires_grad):
                p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
        moved = {n: p.detach().clone() for n, p in here.model.named_parameters()}
        twin = copy.deepcopy(here.model)
        modes = [m.training for m in here.model.modules()]
        with method.running(here.model):
            loss = method.loss(here.model, batch, losses.completion_loss(here.model, batch))
        loss.backward()
        at = batch["labels"] != -100
        mine = forward.hidden_states(twin, **forward.inputs(batch))[at]
        with torch.no_grad():
            other = forward.head(second)(forward.hidden_states(second, **forward.inputs(batch))[at])
        q, p = ((z / 2).log_softmax(-1) for z in (forward.head(twin)(mine), other))
        wanted = losses.completion_loss(twin, batch) + 0.7 * 4 * (p.exp() * (p - q)).sum(-1).mean()
        wanted.backward()
        assert loss.item() == pytest.approx(wanted.item(), abs=1e-8)
        gradients = dict(twin.named_parameters())
        for n, parameter in here.model.named_parameters():
            assert torch.equal(parameter, moved[n]), "the factors are back"
            if parameter.requires_grad and gradients[n].grad is not None:
                torch.testing.assert_close(parameter.grad, gradients[n].grad, atol=1e-8, rtol=0, msg=n)
        assert [m.training for m in here.model.modules()] == modes


def test_nothing_diverges_at_the_start(trained, nano):  # noqa: F811
    """Then the teacher is the student; dropout of the student does not reach the teacher."""
    here, method, batch = begun(nano, "dense", trained("dense", "self_distillation")[0][0], weight=5.0)
    with method.running(here.model):
        plain = losses.completion_loss(here.model, batch)
        assert method.loss(here.model, batch, plain).item() == pytest.approx(plain.item(), abs=1e-6)
    here, method, batch = begun(nano, "dense", None, dropout=0.5)
    here.model.train()
    with method.running(here.model):
        plain = losses.completion_loss(here.model, batch)
        assert torch.equal(method.loss(here.model, batch, plain), plain), "B is zero: no dropout shows"
    assert here.model.training


def test_weight_zero_is_plain_lora_to_the_bit_and_a_large_one_stays_near(trained, nano, tmp_path):  # noqa: F811
    lora = trained("dense", "lora")
    start = logits(loading.load(nano("dense")[0]))
    for weight in (0.0, 100.0):
        seen = train(
            nano, "dense", "self_distillation", 1, tmp_path / str(weight), options={"weight": weight}
        )[3]
        same = (tmp_path / str(weight) / FILE).read_bytes() == (lora[0][0] / FILE).read_bytes()
        assert same == (weight == 0)
    assert (seen - start).norm() < 0.9 * (lora[0][3] - start).norm()
