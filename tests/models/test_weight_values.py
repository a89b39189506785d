"""Every number of the weights is looked at, in every type that they are stored in."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import weight_values
from implicit_sparsity.storage import tensors
from implicit_sparsity.storage.model_folder import ModelFolder
from implicit_sparsity.storage.tensors import Tensors

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def values(tmp_path, **given):
    """``check_values`` of a file of these tensors."""
    save_file(given, tmp_path / "model.safetensors")
    held = {"model.safetensors": Tensors(tmp_path / "model.safetensors")}
    return weight_values.check_values(ModelFolder(tmp_path, "mine"), held)


def refused(tmp_path, **given) -> str:
    with pytest.raises(InputError) as error:
        values(tmp_path, **given)
    return str(error.value)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("bad", [float("nan"), float("-nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 517, -1])
def test_one_number_among_many(tmp_path, monkeypatch, kind, bad, where):
    """At the edges and over the end of a part, too: parts of 64 bytes."""
    monkeypatch.setattr(tensors, "PART", 64)
    weight = torch.randn(33, 31).to(kind)
    assert values(tmp_path, w=weight) == []
    weight.view(-1)[where] = bad
    line = refused(tmp_path, a=torch.randn(2, 2), w=weight)
    assert (
        line
        == f"mine/model.safetensors: w: has a value that is not finite ({'nan' if bad != bad else 'inf'})"
    )


@pytest.mark.parametrize("kind", TYPES)
def test_the_largest_number_is_the_largest(tmp_path, kind):
    """The largest of the type, the smallest of it, and minus zero are numbers."""
    for extreme in (torch.finfo(kind).max, torch.finfo(kind).tiny, 0.5):
        weight = torch.tensor([[-extreme, -0.0]], dtype=kind)
        save_file({"w": weight}, tmp_path / "w.safetensors")
        assert Tensors(tmp_path / "w.safetensors").largest("w") == float(torch.tensor(extreme, dtype=kind))


def test_a_float64_that_no_float32_holds(tmp_path):
    assert "w: has a value that is not finite (1e+300)" in refused(
        tmp_path, w=torch.full((2, 2), 1e300, dtype=torch.float64)
    )


def test_zeros(tmp_path):
    """Biases, a norm stored as what it differs from 1, one matrix of three: named at most. More: refused."""
    some = {"a.weight": torch.ones(2, 2), "b.weight": torch.ones(2, 2)}
    zero = torch.zeros(2, 2)
    assert values(tmp_path, **some, norm=torch.zeros(9), experts_bias=zero, none=torch.zeros(0, 4)) == []
    assert values(tmp_path, **some, o=zero) == ["o"]
    assert "mine/model.safetensors: o: is zero throughout, as are 3 of 5 matrices" in refused(
        tmp_path, **some, o=zero, p=zero.clone(), q=zero.clone()
    )
    assert "model.embed_tokens.weight: is zero throughout" in refused(
        tmp_path, **some, **{"model.embed_tokens.weight": zero}
    )


def test_memory_is_that_of_a_part(tmp_path, monkeypatch):
    """No array of ours is larger than a part, however large the tensor."""
    import tracemalloc

    monkeypatch.setattr(tensors, "PART", 2**16)
    save_file({"w": torch.ones(2**22)}, tmp_path / "model.safetensors")
    held = Tensors(tmp_path / "model.safetensors")
    tracemalloc.start()
    try:
        assert held.largest("w") == np.float32(1)
        assert tracemalloc.get_traced_memory()[1] < 2**19
    finally:
        tracemalloc.stop()
