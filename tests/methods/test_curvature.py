"""Curvature: K-FAC against the exact Fisher, the staircase by hand, the constraint on AdamW's real step."""

import networks
import pytest
import torch

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.curvature import Curvature
from implicit_sparsity.models import adapters, forward, loading, lowrank
from implicit_sparsity.options import load
from implicit_sparsity.storage import files, tensors
from implicit_sparsity.training import audit, fit, stage
from implicit_sparsity.updates import curvature_mask, kfac

IDS = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))


def train(nano, kind, count, folder, previous=None, options=None, **more):
    """Stage ``count`` of code, math: (stage, method, result)."""
    model, tokens = nano(kind)
    domains = ["code", "math"][:count]
    settings = networks.TRAINING | {"steps": 3} | more
    here = stage.Stage(
        str(model), domains, [tokens[d] for d in domains], 0, settings, previous and str(previous)
    )
    method = load("methods", "curvature", **(options or {}))
    result = fit.run_stage(here, method, folder.parent / f"{folder.name}.scratch")
    with files.new_folder(folder) as new:
        here.save(method, new, result["state"])
    return here, method, result


def pair(nano, kind, place, options=None, **more):
    train(nano, kind, 1, place / "1", None, options, **more)
    return train(nano, kind, 2, place / "2", place / "1", options, **more)


def side(values, width=None, seed=0, beyond=0.0):
    """Eigenvalues on random orthonormal directions."""
    random = torch.randn(width or len(values), len(values), generator=torch.Generator().manual_seed(seed))
    return curvature_mask.Side(torch.linalg.qr(random.double()).Q, torch.tensor(values).double(), beyond)


def moment(one):
    return one.basis @ torch.diag(one.values) @ one.basis.T


def loss(one, other, dw):
    """1/2 vec(dW)' (A (x) G) vec(dW), A and G of inputs and gradients."""
    return 0.5 * float((moment(other) @ dw @ moment(one) * dw).sum())


class Factor:
    """Factors of a LoRA in the shape that lowrank.Factors shows them."""

    def __init__(self, o, i, r):
        torch.manual_seed(1)
        self.a = torch.nn.Parameter(torch.randn(r, i))
        self.b = torch.nn.Parameter(torch.randn(o, r))

    @property
    def views(self):
        return self.a.unsqueeze(0), self.b.unsqueeze(0)


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


def test_zeroed_entries_are_a_staircase_whose_corners_the_ranks_take():
    """Eigenvalues 4, 2, 1 a side, 49 in all: 0.8 of it (39.2) needs 16, 8, 8 and the entries of 4 (44)."""
    mask = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1]), side([4.0, 2, 1], seed=1), torch.tensor([7.0, 7]), 0.8, 5
    )
    assert mask.zeroed[:3, :3].int().tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert mask.held == pytest.approx(44 / 49) and mask.budget == 2.0
    pairs = list(zip(mask.off_b.sum(1).tolist(), mask.off_a.sum(1).tolist()))
    assert set(pairs) == {(1, 2), (2, 1)}, "no rank may write row 0 or column 0: no entry of them is free"
    wide = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1], 6), side([4.0, 2, 1], 6, 1), torch.tensor([7.0, 7]), 0.8, 5
    )  # three more directions a side, without curvature
    pairs = list(zip(wide.off_b.sum(1).tolist(), wide.off_a.sum(1).tolist()))
    assert set(pairs) == {(0, 3), (1, 2), (2, 1), (3, 0)}
    bounded = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1], 6, beyond=1.0), side([4.0, 2, 1], 6, 1, 1.0), torch.tensor([10.0, 10]), 0.44, 5
    )
    assert bounded.zeroed.int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    nothing = curvature_mask.CurvatureMask.of(
        side([4.0, 2, 1]), side([4.0, 2, 1]), torch.tensor([7.0, 7]), 0.0, 5
    )
    assert not nothing.zeroed.any() and not nothing.off_a.any() and not nothing.off_b.any()
    with pytest.raises(InputError, match="no entry of an update is below the budget: lower energy"):
        curvature_mask.CurvatureMask.of(side([4.0, 2, 1]), side([4.0, 2, 1]), torch.tensor([7.0, 7]), 1.0, 5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_projected_update_leaves_a_quadratic_loss_of_that_curvature_alone(energy):
    """Free entries cost at most half the budget times ||dW||^2; with all curvature zeroed, nothing. Every
    zeroed entry is zero, in the full eigenbasis, and the norm that the audit sees is right."""
    inputs, gradients = side([8.0, 3, 1, 0.2], 12), side([5.0, 4, 0.5], 9, 1)
    traces = torch.tensor([12.2, 9.5]).double()
    mask = curvature_mask.CurvatureMask.of(inputs, gradients, traces, energy, 6)
    factor = Factor(9, 12, 6)
    left, right = factor.b.detach().double(), factor.a.detach().double()
    free = left @ right
    entries = gradients.basis.T @ free @ inputs.basis * mask.zeroed[:-1, :-1]
    inside, total = mask.norms(left, right)
    assert not mask.zeroed[-1].any() and not mask.zeroed[:, -1].any()
    assert inside == pytest.approx(float(entries.square().sum()), rel=1e-9) and inside > 0
    assert total == pytest.approx(float(free.square().sum()), rel=1e-9)
    mask.project(factor)
    left, right = factor.b.detach().double(), factor.a.detach().double()
    dw = left @ right
    limit = 0.5 * mask.budget * float(dw.square().sum())
    assert float(dw.square().sum()) > 0.01 * total
    assert loss(inputs, gradients, dw) <= limit + 1e-9
    assert loss(inputs, gradients, dw) < (1 - energy / 2) * loss(inputs, gradients, free)
    assert energy < 1 or (mask.budget == 0 and loss(inputs, gradients, dw) < 1e-9)
    assert mask.norms(left, right)[0] < 1e-12 * total


@pytest.mark.parametrize("kind", ["dense", "mixture"])
@pytest.mark.parametrize("options", [{}, {"basis": "random"}, {"energy": 0.5, "max_rank": 8}])
def test_second_stage_writes_no_zeroed_entry(nano, kind, options, tmp_path, caplog):
    """On every step, and from the saved folders alone: the stacked LoRA's second half."""
    with caplog.at_level("INFO"):
        _, method, result = pair(nano, kind, tmp_path, options)
    assert result["audit"]["constraint_steps_audited"] == 3
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    assert ("no linear layers: frozen" in caplog.text) == (kind == "mixture")
    assert "zeroed entries hold" in caplog.text
    first = lowrank.snapshot(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "1"))
    second = lowrank.factors(adapters.add_adapter(loading.load(nano(kind)[0]), tmp_path / "2"))
    before = tensors.load_state(tmp_path / "1")
    assert set(first) == set(second) == set(method.masks) and not any(".experts." in name for name in second)
    for name, factor in second.items():
        a, b = (tensor.detach().double()[0] for tensor in factor.views)
        dw = b @ a - (first[name][1] @ first[name][0])[0].double()
        inputs, gradients = (
            curvature_mask.Side.of(before[f"{name}.{part}"], method.max_rank)
            for part in ("inputs", "gradients")
        )
        if method.basis == "random":
            inputs, gradients = method.masks[name].inputs, method.masks[name].gradients
        entries = gradients.basis.T @ dw @ inputs.basis * method.masks[name].zeroed[:-1, :-1]
        assert method.masks[name].zeroed.any() and entries.norm() < 1e-4 * dw.norm() > 0, name


def test_audit_fails_without_reprojection(nano, tmp_path, monkeypatch):
    """A projected start is not enough: AdamW's step leaves the allowed entries."""
    train(nano, "dense", 1, tmp_path / "1")
    project, calls = Curvature.step, []

    def only_at_the_start(self, model):
        calls.append(1)
        if len(calls) == 1:
            project(self, model)

    monkeypatch.setattr(Curvature, "step", only_at_the_start)
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", 2, tmp_path / "x", tmp_path / "1")


def test_control_zeroes_as_many_entries_in_a_random_basis(nano, tmp_path):
    train(nano, "dense", 1, tmp_path / "1")
    _, ours, _ = train(nano, "dense", 2, tmp_path / "2", tmp_path / "1")
    _, random, _ = train(nano, "dense", 2, tmp_path / "r", tmp_path / "1", Curvature.CONTROLS["random"])
    for name, mask in ours.masks.items():
        other = random.masks[name]
        assert torch.equal(mask.zeroed, other.zeroed) and torch.equal(mask.off_a, other.off_a), name
        assert not torch.allclose(mask.inputs.basis, other.inputs.basis, atol=0.1)
        identity = torch.eye(other.inputs.basis.shape[1], dtype=torch.float64)
        assert torch.allclose(other.inputs.basis.T @ other.inputs.basis, identity, atol=1e-10)


def test_bfloat16_packed_and_checkpointed_stages_keep_their_promise(nano, tmp_path):
    """And PEFT alone gives training's network: the same but for rounding, where sums are float32."""
    more = {"precision": "bf16", "packing": True, "gradient_checkpointing": True}
    here, _, result = pair(nano, "dense", tmp_path, **more)
    assert (
        result["audit"]["constraint_violation_max_step"] <= 1e-5
        and result["audit"]["constraint_violation_total"] <= 1e-5
    )
    loaded = adapters.add_adapter(loading.load(nano("dense")[0], "bf16"), tmp_path / "2")
    with torch.no_grad():
        ours, alone = (forward.hidden_states(m.float(), IDS) for m in (here.model, loaded))
    assert (ours - alone).norm() < 1e-4 * ours.norm()


def test_state_does_not_grow_with_domains_and_holds_both(nano, tmp_path):
    pair(nano, "dense", tmp_path, {"max_rank": 5})
    one, two = (tensors.load_state(tmp_path / str(count)) for count in (1, 2))
    assert one.keys() == two.keys()
    for name, tensor in two.items():
        assert tensor.shape == one[name].shape and (tensor.dim() == 1 or len(tensor) <= 6)
        if tensor.dim() == 1:
            assert (tensor > one[name]).all()


def test_a_router_is_refused():
    with pytest.raises(InputError, match="routers are no linear layers"):
        load("methods", "curvature", router=True)
