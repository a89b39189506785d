"""Full fine-tuning: every weight in float32, saved in the base's precision."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, loading
from implicit_sparsity.options import load


def stage(model, **training):
    return SimpleNamespace(model=model, training=training)


def test_all_weights_are_trained_in_float32_and_saved_in_the_bases_precision(nano, tmp_path):
    """A step of 1e-5 of a weight of 1 is lost on bfloat16, not on what is trained."""
    here, method = stage(loading.load(nano("mixture")[0], "bf16"), precision="bf16"), load("methods", "full")
    before = {name: p.clone() for name, p in here.model.named_parameters()}
    model = method.begin(here)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    assert method.snapshot(model).keys() == before.keys(), "experts, routers and the shared expert too"
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + 1e-5)
    assert all(p.ne(before[name].float()).any() for name, p in model.named_parameters() if p.any())
    method.save(here, tmp_path)
    saved = loading.load(tmp_path, "bf16")
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}
    assert adapters.is_whole(tmp_path)
    assert all(torch.equal(p, before[name]) for name, p in saved.named_parameters()), "rounded once"


def test_without_a_precision_weights_are_saved_as_they_are_trained(nano, tmp_path):
    here, method = stage(loading.load(nano("llama")[0])), load("methods", "full")
    model = method.begin(here)
    with torch.no_grad():
        model.model.norm.weight.add_(1e-5)
    method.save(here, tmp_path)
    saved = loading.load(tmp_path)
    assert all(torch.equal(p, q) for p, q in zip(saved.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_quantized_weights_are_refused_in_one_line(quantization):
    with pytest.raises(InputError) as caught:
        load("methods", "full").begin(stage(None, quantization=quantization))
    assert str(caught.value) == "models.*.quantization: all weights can only be trained unquantized"
