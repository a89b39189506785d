"""Pruning two of four: masks, recovery and calibration by hand."""

import networks
import pytest
import torch
from torch.ao.pruning import WeightNormSparsifier
from torch.sparse import _semi_structured_conversions as semi_structured

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.updates import wanda


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_mask_of_an_example_by_hand():
    """Scores |W| * ||x||: 1 * 8, 2 * 1, 3 * 1, 4 * 1 keep the first and last; a tie keeps the first two."""
    weight = torch.tensor([[1.0, -2, 3, -4, 5, 5, 5, 5], [-1, 2, 0, 0, 1, 2, 3, -4]])[None]
    x = torch.zeros(4, 8)
    x[:, 0], x[:, 1:] = 4.0, 0.5  # ||x_0|| = 8, all others 1
    norms = wanda.input_norms([x], 8)
    assert norms.tolist() == [[8.0] + [1.0] * 7]
    wanted = [[1, 0, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 1, 1]]
    assert wanda.two_of_four(weight, norms)[0].int().tolist() == wanted
    by_size = wanda.two_of_four(weight, wanda.input_norms([None], 8))
    assert by_size[0, 0].int().tolist()[:4] == [0, 0, 1, 1], "without tokens size alone counts"


def test_mask_is_pytorchs():
    """The same as torch's own pruner of 2 in blocks of 4, told the same scores; and the pruned weight is what
    torch's 2:4 kernels can hold without loss."""
    weight = torch.randn(1, 64, 128, generator=generator())
    norms = torch.rand(1, 128, generator=generator(1)) * 10
    keep = wanda.two_of_four(weight, norms)
    assert (keep.unflatten(-1, (-1, 4)).sum(-1) == 2).all()
    scored = torch.nn.Sequential(torch.nn.Linear(128, 64, bias=False))
    scored[0].weight.data = weight[0].abs() * norms
    pruner = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    pruner.prepare(scored, [{"tensor_fqn": "0.weight"}])
    pruner.step()
    assert torch.equal(scored[0].parametrizations.weight[0].mask.bool(), keep[0])
    pruned = (weight * keep)[0].half()
    packed = semi_structured.sparse_semi_structured_from_dense_cutlass(pruned)
    assert packed[0].shape == (64, 64)
    assert torch.equal(semi_structured.sparse_semi_structured_to_dense_cutlass(*packed), pruned)


def test_recovery_is_the_least_squares_fit_of_every_row():
    """Against a solution of each row by itself; never worse than pruning alone; exact if inputs allow it."""
    weight, x = torch.randn(6, 16, generator=generator()), torch.randn(40, 16, generator=generator(1))
    x[:, 8:] += x[:, :8]  # correlated: what is pruned can be said by what is kept
    keep = wanda.two_of_four(weight[None], x.norm(dim=0)[None])[0]
    got = wanda.recover(weight, keep, x, steps=60)
    assert (got[~keep] == 0).all()
    d = 0.01 * x.square().sum().item() / 16
    wide = torch.cat([x, d**0.5 * torch.eye(16)]).double()
    for row, retained, mended in zip(weight.double(), keep, got, strict=True):
        wanted = torch.linalg.lstsq(wide[:, retained], wide @ row).solution
        torch.testing.assert_close(mended[retained].double(), wanted, atol=1e-4, rtol=1e-4)
    error = [((v - weight) @ x.T).norm() for v in (got, weight * keep)]
    assert error[0] < 0.9 * error[1]
    twin = torch.tensor([[3.0, 1.0, 2.0, 4.0]])
    same = torch.randn(20, 1, generator=generator()).expand(20, 4)  # four inputs that are one
    mended = wanda.recover(twin, torch.tensor([[True, False, False, True]]), same, damping=1e-6)
    assert mended.sum().item() == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_calibration_inputs_give_each_weights_outputs(nano, kind):
    """Norms by hand of a dense layer's inputs; every routed token of a mixture is in exactly K experts'."""
    model = loading.load(nano(kind)[0])
    result = wanda.weights(model, "mlp")
    ids = torch.randint(3, 300, (2, 9), generator=generator(2))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    inputs = wanda.calibration(model, [{"input_ids": ids, "attention_mask": mask}], result)
    for name, weight in result.items():
        assert len(inputs[name]) == len(weight.view)
        tokens = sum(len(x) for x in inputs[name] if x is not None)
        assert tokens == (2 if ".experts." in name else 1) * 15
        for x in inputs[name]:
            assert x is None or x.shape[1] == weight.view.shape[2]
    if kind == "mixture":  # an expert's down_proj reads what its gate and up say
        x, h = (inputs[f"model.layers.1.mlp.experts.{part}_proj"] for part in ("gate_up", "down"))
        fused = result["model.layers.1.mlp.experts.gate_up_proj"].view
        for number, (one, other) in enumerate(zip(x, h, strict=True)):
            if one is not None:
                gate, up = (one @ fused[number].T).chunk(2, -1)
                torch.testing.assert_close(torch.nn.functional.silu(gate) * up, other, atol=1e-5, rtol=1e-4)


def test_widths_that_four_does_not_divide_are_one_clear_line():
    model = loading.create(networks.LLAMA | {"intermediate_size": 66}, 0)
    with pytest.raises(InputError, match=r"down_proj.weight has 66 inputs"):
        wanda.weights(model)
