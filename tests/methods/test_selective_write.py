"""Selective writing: TF-IDF and gates by hand, the gate on the real step, and the control of equal mass."""

import math

import networks
import pytest
import torch
from test_methods import KINDS, train

from implicit_sparsity.methods.selective_write import SelectiveWrite
from implicit_sparsity.models import ffn
from implicit_sparsity.options import load
from implicit_sparsity.storage import tensors
from implicit_sparsity.training.stage import Stage
from implicit_sparsity.updates import neuron_choice, neuron_gates

OPTIONS = {"fraction": 0.4, "accessed": 0.25, "groups": 6}


@pytest.fixture(scope="module")
def first(nano, tmp_path_factory):
    """kind -> the folder of a first stage."""
    place, made = tmp_path_factory.mktemp("selective"), {}

    def get(kind):
        if kind not in made:
            train(nano, kind, "selective_write", 1, place / kind, options=OPTIONS)
            made[kind] = place / kind
        return made[kind]

    return get


def begun(nano, kind, previous, **options):
    model, tokens = nano(kind)
    domains = ["code", "math"]
    folders = [tokens[domain] for domain in domains]
    here = Stage(str(model), domains, folders, 0, networks.TRAINING, str(previous))
    method = load("methods", "selective_write", **OPTIONS | options)
    method.begin(here)
    return here, method


def test_scores_and_gates_by_hand():
    """Three groups of old documents; the layer's neurons say 4 3 2 1 on the new domain."""
    background = neuron_gates.Background(
        3, torch.tensor([[3, 1, 0, 0]], dtype=torch.int32), torch.tensor([[1, 1 / 3, 0, 0]])
    )
    sums = torch.tensor([[[3.0, 1, 1, 1]], [[1.0, 2, 1, 0]]])
    want = [0.4 * math.log(4 / 4), 0.3 * math.log(4 / 2), 0.2 * math.log(4 / 1), 0.1 * math.log(4 / 1)]
    scores = background.scores(sums)
    assert scores[0].tolist() == pytest.approx(want)
    chosen = neuron_choice.choose(scores, 0.5, {})
    assert chosen[0].tolist() == [1, 2], "not the most active: every old document uses it"
    assert neuron_gates.gates(background.use, chosen)[0].tolist() == pytest.approx([2 / 3, 1])


def test_without_a_background_it_is_frequency_alone():
    scores = neuron_gates.Background().scores(torch.tensor([[[4.0, 3, 2, 1]]]))
    assert scores[0].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    gates = neuron_gates.gates(None, neuron_choice.choose(scores, 0.5, {}))
    assert gates[0].tolist() == [1, 1]


def test_access_is_a_top_share_of_each_group_and_domains_pool():
    sums = torch.tensor([[[5.0, 4, 0, 0]], [[5.0, 1, 2, 0]], [[0.0, 0, 3, 0]]])
    result = neuron_gates.accessed(sums, 0.5)
    assert result[:, 0].int().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]], "idle is no access"
    one = neuron_gates.Background().with_domain(result)
    assert one.groups == 3 and one.accessed.tolist() == [[2, 1, 2, 0]]
    two = neuron_gates.Background.from_state(one.to_state()).with_domain(result[:1])
    assert two.groups == 4 and two.accessed.tolist() == [[3, 2, 2, 0]]
    assert two.use[0].tolist() == pytest.approx([1, 1, 2 / 3, 0]), "the largest of any domain"
    sizes = [sum(t.numel() * t.element_size() for t in b.to_state().values()) for b in (one, two)]
    assert sizes == [8 * 4 + 8] * 2, "8 bytes a neuron, however many domains"


def test_a_gate_scales_the_step_where_scaling_the_gradient_would_not():
    """One AdamW step with decay: 0, 1/4 and all of what it is without a gate."""
    torch.manual_seed(0)
    index, share = torch.tensor([0, 1, 2]), torch.tensor([0.0, 0.25, 1.0])
    gradients = [torch.randn(3, 5), torch.randn(3, 5), torch.randn(5, 3)]

    def step(on_step, on_gradient):
        start = [torch.full(g.shape, 0.5) for g in gradients]
        parts = [torch.nn.Parameter(s.clone()) for s in start]
        deltas = neuron_gates.GatedStep(
            type("Rows", (), {"layers": [(index, *parts)]}), {0: share if on_step else torch.ones(3)}
        )
        for part, gradient, shape in zip(parts, gradients, ((3, 1), (3, 1), (1, 3)), strict=True):
            part.grad = gradient * (share.view(shape) if on_gradient else 1)
        deltas.before()
        torch.optim.AdamW(parts, lr=0.01, weight_decay=0.1).step()
        deltas.after()
        moved = [part.detach() - s for part, s in zip(parts, start, strict=True)]
        return torch.cat([moved[0], moved[1], moved[2].T], 1)

    free, gated, cancelled = step(False, False), step(True, False), step(False, True)
    assert (gated[0] == 0).all() and torch.equal(gated[2], free[2])
    torch.testing.assert_close(gated[1], 0.25 * free[1], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(cancelled[1], free[1], rtol=1e-4, atol=1e-6)
    assert (cancelled[0] != 0).all(), "weight decay asks for no gradient"


@pytest.mark.parametrize("kind", KINDS)
def test_real_steps_of_closed_neurons_are_zero(nano, first, kind, tmp_path, monkeypatch):
    """AdamW with decay and clipping on, neurons that an earlier stage wrote among them; ungated they move."""
    begin, previous = SelectiveWrite.begin, first(kind)

    def closing(self, stage):
        model = begin(self, stage)
        for layer, index in self.chosen.items():
            self.gates[layer][index % 2 == 0] = 0
        self.gated = neuron_gates.GatedStep(self.deltas, self.gates)
        self.start = self.snapshot(model)
        return model

    monkeypatch.setattr(SelectiveWrite, "begin", closing)
    for gated in (True, False):
        if not gated:
            monkeypatch.setattr(neuron_gates.GatedStep, "after", lambda self: None)
        folder = tmp_path / str(gated)
        wider = OPTIONS | {"fraction": 0.8}
        _, method, _, _ = train(nano, kind, "selective_write", 2, folder, previous, wider)
        moving = written = 0
        for layer, (index, *parts) in enumerate(method.deltas.layers):
            closed = index % 2 == 0
            for part, tensor, axis in zip(("gate", "up", "down"), parts, (1, 1, 0), strict=True):
                start = method.start[f"neuron_deltas.{layer}_{part}"]
                moved = (tensor != start).any(axis)
                moving += int((moved & closed).sum())
                written += int(((start != 0).any(axis) & closed).sum())
                assert moved[method.gates[layer] > 0].any()
        assert written > 0, "some must have something to decay"
        assert moving == 0 if gated else moving > 0


@pytest.mark.parametrize("kind", KINDS)
def test_control_trains_as_many_numbers_with_gates_of_equal_mass(nano, first, kind):
    pair = [begun(nano, kind, first(kind), **options) for options in ({}, SelectiveWrite.CONTROLS["random"])]
    (here, method), (there, control) = pair
    counts = [sum(p.numel() for p in m.parameters() if p.requires_grad) for m in (here.model, there.model)]
    size = ffn.feed_forwards(here.model)[0].size
    assert counts == [4 * 3 * round(0.4 * size) * 32] * 2
    for layer, gates in method.gates.items():
        assert abs(float(gates.double().sum() - control.gates[layer].double().sum())) < 1e-6
        assert torch.equal(gates.sort().values, control.gates[layer].sort().values)
        assert not torch.equal(method.chosen[layer], control.chosen[layer])
    assert any((gates < 1).any() for gates in method.gates.values()), "an old domain must have closed some"
    _, again = begun(nano, kind, first(kind), choose="random")
    assert all(torch.equal(again.gates[layer], control.gates[layer]) for layer in control.gates)


def test_neurons_of_the_old_domain_alone_are_not_chosen(nano, first, tmp_path):
    """A background in which all old documents use one half of the neurons: the other half is written."""
    known = tensors.load_state(first("dense"))
    known["background.accessed"][:] = 0
    known["background.accessed"][:, :32] = int(known["background.groups"])
    known["background.use"][:] = known["background.accessed"] / known["background.groups"]
    place = tmp_path / "planted"
    place.mkdir()
    for file in first("dense").iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    tensors.save_state(place, known)
    _, method = begun(nano, "dense", place)
    for layer, index in method.chosen.items():
        assert (index >= 32).all() and (method.gates[layer] == 1).all()
