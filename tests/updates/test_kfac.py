"""K-FAC moments against the exact Fisher, and what many additions leave."""

import pytest
import torch

from implicit_sparsity.models import adapters, loading, lowrank
from implicit_sparsity.updates import curvature_mask, kfac

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


def test_kfac_of_softmax_regression_on_one_input_is_the_exact_fisher():
    """Labels with p = 1/2, 1/4, 1/4 as often as that, so that the mean over them is the expectation: G (x) A
    is the Fisher, which for softmax regression is the Hessian, whatever the label."""
    x = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    weight = torch.outer(p.log(), x) / (x @ x)  # so that W x = log p
    inputs, gradients = kfac.Moment(9), kfac.Moment(9)
    for label in (0, 0, 1, 2):
        inputs.add(x[None])
        gradients.add((p - torch.eye(3, dtype=torch.float64)[label])[None])
    (a, trace_a), (g, trace_g) = inputs.mean(), gradients.mean()
    fisher = torch.kron((g.T @ g).double(), (a.T @ a).double())

    def nats(flat):
        return -torch.log_softmax(flat.view(3, 5) @ x, 0)[1]

    exact = torch.autograd.functional.hessian(nats, weight.flatten())
    assert torch.allclose(fisher, exact, atol=1e-6) and exact.abs().max() > 0.1
    assert float(exact.trace()) == pytest.approx(trace_a * trace_g, rel=1e-6)


def test_measured_kfac_on_one_token_is_the_mean_outer_product_of_weight_gradients(nano):
    """Through hooks and the whole network: with one token the weight's gradient is g x', so the Fisher of
    the drawn labels, counted from weight gradients, is G (x) A."""
    model = adapters.add_linear_lora(loading.load(nano("dense")[0]), 4, 8.0)
    modules = {name: f.module for name, f in lowrank.factors(model).items()}
    name = "model.layers.2.mlp.down_proj"
    ones = torch.ones(1, 1, dtype=torch.long)
    batches = [{"input_ids": 7 * ones, "attention_mask": ones, "labels": 9 * ones}] * 6
    result = kfac.measure(model, batches, modules, 64, seed=5)
    assert all(p.grad is None for p in model.parameters())
    weight = modules[name].base_layer.weight.requires_grad_(True)
    generator, fisher = torch.Generator().manual_seed(5), 0.0
    for batch in batches:
        (gradient,) = torch.autograd.grad(kfac.sampled_nats(model, batch, generator), weight)
        fisher = fisher + torch.outer(gradient.flatten(), gradient.flatten()).double() / 6
    a, g = (result[f"{name}.{part}"].double() for part in ("inputs", "gradients"))
    got = torch.kron(g.T @ g, a.T @ a)
    assert (got - fisher).norm() < 1e-5 * fisher.norm() and len(a) == 1 and len(g) > 1
    assert float(result[f"{name}.traces"].prod()) == pytest.approx(float(fisher.trace()), rel=1e-5)
    gate, up = (result[f"model.layers.2.mlp.{part}_proj.inputs"] for part in ("gate", "up"))
    assert gate is up, "what reads one tensor shares one moment"


def test_checkpointed_gradients_measure_the_same(nano):
    model = adapters.add_linear_lora(loading.load(nano("dense")[0]), 4, 8.0)
    modules = {name: f.module for name, f in lowrank.factors(model).items()}
    batch = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": IDS}
    plain = kfac.measure(model, [batch], modules, 3, 0)
    again = kfac.measure(model, [batch], modules, 3, 0, True)
    assert plain.keys() == again.keys()
    for name in plain:
        first, second = (m[name].T @ m[name] if m[name].dim() == 2 else m[name] for m in (plain, again))
        assert torch.allclose(first, second, rtol=1e-3, atol=1e-6 * float(first.abs().max())), name


def test_moments_keep_the_leading_directions_through_many_additions():
    """Three strong directions in 40, far more vectors than are ever held: the first three are found, the
    trace is exact, and two domains' sum is that of their moments."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.cat([torch.tensor([9.0, 6.0, 4.0]), torch.full((37,), 0.05)])
    vectors = torch.randn(4000, 40, generator=generator) * scale
    held = kfac.Moment(4)
    for part in vectors.split(50):
        held.add(part)
    rows, trace = held.mean()
    exact = (vectors.T @ vectors / 4000).double()
    values, axes = torch.linalg.eigh(exact)
    assert torch.allclose(rows.double().square().sum(1)[:3], values.flip(0)[:3], rtol=1e-4)
    assert trace == pytest.approx(float(exact.trace()), rel=1e-6)
    inside = axes[:, -3:].T @ curvature_mask.Side.of(rows, 3).basis
    assert torch.allclose(torch.linalg.svdvals(inside), torch.ones(3).double(), atol=1e-5)
    other = {"w.inputs": torch.eye(40)[5:7] * 7, "w.traces": torch.tensor([98.0, 1.0]).double()}
    both = kfac.add({"w.inputs": rows, "w.traces": torch.tensor([trace, 1.0]).double()}, other, 4)
    total = rows.T @ rows + other["w.inputs"].T @ other["w.inputs"]
    assert torch.allclose(
        both["w.inputs"].double().square().sum(1)[:4],
        torch.linalg.eigvalsh(total.double()).flip(0)[:4],
        rtol=1e-4,
    )
    assert float(both["w.traces"][0]) == pytest.approx(trace + 98)
