"""Singular subspaces: PEFT's projection, what survives AdamW, and audited norms."""

import pytest
import torch

from implicit_sparsity.updates import singular_subspaces


def layer_of(o, i, share=0.5):
    """A linear layer under PEFT's OSF: (PeftModel, the layer)."""
    from peft import OSFConfig, get_peft_model

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(i, o, bias=False))
    model = get_peft_model(net, OSFConfig(effective_rank=share, target_modules=["0"]))
    return model, model.base_model.model[0]


def descend(model, layer, steps=4, reproject=True, lr=1e-3):
    """AdamW with decay and clipping on a least-squares loss; yields the violation of each step."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.1)
    layers = {"w": layer}
    if reproject:
        singular_subspaces.reproject(layers)
    for seed in range(steps):
        x = torch.randn(32, layer.in_features, generator=torch.Generator().manual_seed(seed))
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        before = singular_subspaces.snapshot(layers)
        optimizer.step()
        optimizer.zero_grad()
        if reproject:
            singular_subspaces.reproject(layers)
        forbidden, total = singular_subspaces.change_norms(layers, before)
        yield forbidden / total


SHAPES = [(12, 20), (20, 12), (16, 16)]


@pytest.mark.parametrize(("o", "i"), SHAPES)
def test_our_projection_is_pefts_projection_of_the_gradient(o, i):
    """On random gradients, against PEFT's function on its own SVD; its hooks give the same on real ones."""
    from peft.tuners.osf.utils import decompose_weight_matrix, project_gradient_to_orthogonal_space

    model, layer = layer_of(o, i)
    parts = decompose_weight_matrix(layer.get_base_layer().weight.data, layer.effective_rank["default"])
    grads = {name: torch.randn_like(parts[name]) for name in ("U_low", "S_low", "V_low")}
    for name, gradient in grads.items():
        parts[name].grad = gradient.clone()
    project_gradient_to_orthogonal_space(parts)
    u = grads["U_low"] - singular_subspaces.high_rows(layer, grads["U_low"])
    v = grads["V_low"] - singular_subspaces.high_columns(layer, grads["V_low"])
    assert torch.allclose(u.float(), parts["U_low"].grad, atol=1e-5)
    assert torch.allclose(v.float(), parts["V_low"].grad, atol=1e-5)
    assert (u - grads["U_low"]).norm() > 0.1 and (v - grads["V_low"]).norm() > 0.1
    model(torch.randn(8, i)).square().sum().backward()
    low = singular_subspaces.trained(layer)
    assert singular_subspaces.high_rows(layer, low["U_low"].grad).norm() < 1e-5 * low["U_low"].grad.norm()
    assert singular_subspaces.high_columns(layer, low["V_low"].grad).norm() < 1e-5 * low["V_low"].grad.norm()


@pytest.mark.parametrize(("o", "i"), SHAPES)
def test_large_singular_directions_survive_adamw_only_with_reprojection(o, i):
    """W' = U_high S_high V_high + what is orthogonal to both, read off the merged weight."""
    for reproject in (True, False):
        model, layer = layer_of(o, i)
        weight = layer.get_base_layer().weight.data.double().clone()
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        k = layer.effective_rank["default"]
        constraint_violations = list(descend(model, layer, reproject=reproject))
        new = singular_subspaces.merged({"w": layer})["w"].double()
        wrong = (u[:, :k].T @ new - s[:k, None] * v[:k]).norm() + (new @ v[:k].T - u[:, :k] * s[:k]).norm()
        moved = (new - weight).norm()
        assert moved > 1e-3
        if reproject:
            assert max(constraint_violations) < 1e-5 and wrong < 1e-4 * moved
        else:
            assert max(constraint_violations) > 0.05 and wrong > 0.05 * moved


def test_the_audited_norms_are_those_of_the_dense_change():
    model, layer = layer_of(12, 20)
    before = singular_subspaces.snapshot({"w": layer})
    old = singular_subspaces.merged({"w": layer})["w"].double()
    list(descend(model, layer, reproject=False, lr=1e-2))
    change = singular_subspaces.merged({"w": layer})["w"].double() - old
    free = change - singular_subspaces.high_rows(layer, change)
    free = free - singular_subspaces.high_columns(layer, free)
    forbidden, total = singular_subspaces.change_norms({"w": layer}, before)
    assert total == pytest.approx(float(change.norm()), rel=1e-4)
    assert forbidden == pytest.approx(float((change - free).norm()), rel=1e-3) and forbidden > 0.1 * total
