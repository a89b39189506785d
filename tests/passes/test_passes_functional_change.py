"""Planted changes of real networks: nothing in a null space, known ratios outside it, experts by tokens."""

import networks
import numpy as np
import pytest
import torch

from implicit_sparsity.models import ffn
from implicit_sparsity.models.hooks.watching import module_inputs
from implicit_sparsity.models.protected import Protected, whole_subspace
from implicit_sparsity.passes import functional_change
from implicit_sparsity.passes.functional_change import QUANTITIES
from implicit_sparsity.passes.stage_change import Factored

Q, DOWN = "layers.0.self_attn.q_proj", "layers.1.mlp.down_proj"
IDS = [document.ids for document in networks.documents((9, 12, 7))]
INPUT, HELD, OUTPUT, HELD_OUTPUT, CHANGE = range(len(QUANTITIES))


def factored(matrix):
    """dW as factors, of any matrix [o, i] or [X, o, i]."""
    matrix = matrix.double() if matrix.dim() == 3 else matrix.double()[None]
    return Factored(matrix, torch.eye(matrix.shape[2], dtype=torch.float64).expand(len(matrix), -1, -1))


def inputs(network, name, ids):
    """What a weight reads of one document, without its first token."""
    seen = []
    with module_inputs({name: network.model.get_submodule(name)}, lambda _, x: seen.append(x[0, 1:])):
        network.model(input_ids=torch.tensor(np.array(ids, np.int64))[None])
    return seen[0].detach().double()


def test_nothing_changes_inside_the_null_space_and_what_is_planted_outside():
    network = networks.network("llama")
    x = [inputs(network, DOWN, ids) for ids in IDS]
    weight = network.model.get_submodule(DOWN).weight.double()
    basis = torch.linalg.qr(x[0].T).Q  # of the first document
    outside = torch.eye(len(basis), dtype=torch.float64) - basis @ basis.T
    changes = {
        DOWN: factored(0.3 * weight @ outside),
        Q: factored(0.1 * network.model.get_submodule(Q).weight),
    }
    guards = {DOWN: whole_subspace(basis[None].float())}
    names, sums = functional_change.measure(network, changes, guards, IDS, 1, 64)
    down, q = sums[:, names.index(DOWN)], sums[:, names.index(Q)]
    ratio = np.sqrt(down[:, CHANGE] / down[:, OUTPUT])
    assert ratio[0] < 1e-6 and (ratio[1:] > 0.05).all()
    for document, mine in zip(x, down, strict=True):
        wanted = [document.square().sum(), (document @ basis).square().sum()]
        wanted += [
            (document @ weight.T).square().sum(),
            0,
            (document @ (0.3 * weight @ outside).T).square().sum(),
        ]
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-9)
    assert down[0, HELD] == pytest.approx(down[0, INPUT], rel=1e-5)
    np.testing.assert_allclose(np.sqrt(q[:, CHANGE] / q[:, OUTPUT]), 0.1, rtol=1e-5)
    assert (q[:, HELD] == 0).all() and (sums[..., HELD_OUTPUT] == 0).all()


def test_batches_and_skipped_tokens_do_not_mix_documents():
    network = networks.network("llama")
    changes = {Q: factored(network.model.get_submodule(Q).weight)}
    whole = functional_change.measure(network, changes, {}, IDS, 1, 1000)[1]
    alone = [functional_change.measure(network, changes, {}, [ids], 1, 8)[1][0] for ids in IDS]
    np.testing.assert_allclose(whole, alone, rtol=1e-4)
    assert (
        functional_change.measure(network, changes, {}, IDS, 0, 1000)[1][..., INPUT] > whole[..., INPUT]
    ).all()


def test_rows_that_are_not_written_hold_their_share_of_outputs():
    network = networks.network("llama")
    name = "layers.0.mlp.gate_proj"
    rows = torch.arange(64) < 16
    guard = Protected(rows.double()[None], side="output")
    changes = {name: factored(network.model.get_submodule(name).weight * ~rows[:, None])}
    sums = functional_change.measure(network, changes, {name: guard}, IDS, 1, 64)[1][:, 0]
    np.testing.assert_allclose(sums[:, HELD_OUTPUT] + sums[:, CHANGE], sums[:, OUTPUT], rtol=1e-5)
    assert (sums[:, HELD_OUTPUT] > 0).all() and (sums[:, HELD] == 0).all()


@pytest.mark.parametrize("part", ["gate_up", "down"])
def test_experts_change_for_their_own_tokens_alone(part):
    """Expert 3 grows by a tenth, the others are kept off: what they read and what it says add up."""
    network = networks.network("mixture")
    name = f"layers.1.mlp.experts.{part}_proj"
    weight = ffn.effective_weight(ffn.feed_forwards(network)[1].mlp.experts, f"{part}_proj")
    one = (torch.arange(8) == 3).double()
    changes = {name: factored(0.1 * weight * one[:, None, None])}
    guard = {name: Protected(1 - one[:, None])}
    names, sums = functional_change.measure(network, changes, guard, IDS, 1, 64)
    alone = {name: Protected(one[:, None])}
    _, its_own = functional_change.measure(network, changes, alone, IDS, 1, 64)
    assert names == [name] and its_own[..., HELD].sum() > 0
    np.testing.assert_allclose(sums[..., HELD] + its_own[..., HELD], sums[..., INPUT], rtol=1e-5)
    whole = {name: factored(0.1 * weight)}
    ratio = functional_change.measure(network, whole, {}, IDS, 1, 64)[1].sum((0, 1))
    assert np.sqrt(ratio[CHANGE] / ratio[OUTPUT]) == pytest.approx(0.1, rel=1e-5)
    assert 0 < sums[..., CHANGE].sum() < ratio[CHANGE]
    if part == "gate_up":  # every token once for each of its two experts
        block = network.model.layers[1].mlp.experts
        seen = []
        with module_inputs({"x": block}, lambda _, x: seen.append(x.flatten(0, -2))):
            for ids in IDS:
                network.model(input_ids=torch.tensor(np.array(ids, np.int64))[None])
        read = sum(2 * x[1:].double().square().sum() for x in seen)
        assert sums[..., INPUT].sum() == pytest.approx(float(read), rel=1e-4)


def test_a_change_of_what_is_no_linear_layer_is_not_watched():
    network = networks.network("dense")
    names = [
        "layers.0.linear_attn.A_log",
        "layers.0.linear_attn.conv1d",
        "layers.0.input_layernorm",
        "embed_tokens",
    ]
    modules, fused = functional_change.watched(network, [*names, "layers.0.linear_attn.in_proj_z"])
    assert list(modules) == ["layers.0.linear_attn.in_proj_z"] and fused == []
