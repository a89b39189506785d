"""Selective writing: closed neurons on the real step, and the control of equal mass."""

import networks
import pytest
import torch
from test_methods import KINDS, train

from implicit_sparsity.methods.selective_write import SelectiveWrite
from implicit_sparsity.models import ffn
from implicit_sparsity.options import load
from implicit_sparsity.storage import tensors
from implicit_sparsity.training.stage import Stage
from implicit_sparsity.updates import neuron_gates

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
