"""Method A: masks, their controls at equal size and hard and soft protection."""

import networks
import pytest
import torch
from test_methods import KINDS, train, trained  # noqa: F401 (a fixture)

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.activation_mask import ActivationMask
from implicit_sparsity.models import adapters, ffn, loading
from implicit_sparsity.options import load
from implicit_sparsity.storage import tensors
from implicit_sparsity.training import audit
from implicit_sparsity.training.stage import Stage
from implicit_sparsity.updates import neuron_choice, neuron_deltas, neuron_gates

ROWS = {"fraction": 0.1, "protect": 0.1}
SOFT = ROWS | {"protection": "soft", "fraction": 0.5}


def begun(nano, kind, count=1, previous=None, **options):
    """A method at the beginning of a stage: masks are chosen, nothing is trained."""
    model, tokens = nano(kind)
    domains = ["code", "math"][:count]
    here = Stage(
        str(model),
        domains,
        [tokens[d] for d in domains],
        0,
        networks.TRAINING,
        previous and str(previous),
    )
    method = load("methods", "activation_mask", **ROWS | options)
    method.begin(here)
    return here, method


def numbers(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", KINDS)
def test_writes_exactly_the_chosen_neurons(trained, nano, kind):  # noqa: F811
    """Merged weights differ from the base in the chosen rows and columns, all of them, and nowhere else."""
    base, written = loading.load(nano(kind)[0]), set()
    before = dict(loading.load(nano(kind)[0]).named_parameters())
    for folder, method, _, _ in trained(kind, "activation_mask"):
        merged = adapters.with_adapter(loading.load(nano(kind)[0]), folder)
        new = [set(index.tolist()) for index, *_ in method.deltas.layers]
        written = [a | b for a, b in zip(written or [set()] * len(new), new, strict=True)]
        for block, old, chosen in zip(
            ffn.feed_forwards(merged), ffn.feed_forwards(base), written, strict=True
        ):
            for (first, _, *now), (*_, gate, up, down) in zip(block.parts(), old.parts(), strict=True):
                for weight, was, axis in zip(now, (gate, up, down), (1, 1, 0), strict=True):
                    moved = (weight != was).any(axis).nonzero().flatten() + first
                    assert set(moved.tolist()) == {
                        n for n in chosen if first <= n < first + was.shape[1 - axis]
                    }
        mlp = {id(p) for b in ffn.feed_forwards(merged) for p in b.mlp.parameters()}
        for name, p in merged.named_parameters():
            assert id(p) in mlp or torch.equal(p, before[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_protected_neurons_alone(trained, kind):  # noqa: F811
    first, second = trained(kind, "activation_mask")
    guarded, later = (neuron_choice.protected(tensors.load_state(run[0])) for run in (first, second))
    for layer, (index, *_) in enumerate(second[1].deltas.layers):
        wrote = set(first[1].deltas.layers[layer][0].tolist())
        assert wrote and wrote <= set(guarded[layer].tolist())
        assert not set(index.tolist()) & set(guarded[layer].tolist())
        assert set(guarded[layer].tolist()) | set(index.tolist()) <= set(later[layer].tolist())


def test_too_few_free_neurons_is_one_clear_line(trained, nano, tmp_path):  # noqa: F811
    first = trained("dense", "activation_mask")[0][0]
    with pytest.raises(InputError, match="unprotected neurons left of 64, 64 are wanted"):
        train(nano, "dense", "activation_mask", 2, tmp_path / "x", first, {"fraction": 1.0})


def test_audit_catches_a_choice_that_forgets_the_protected(trained, nano, tmp_path, monkeypatch):  # noqa: F811
    """Choosing among all neurons, the same stage must fail its audit."""
    first = trained("dense", "activation_mask")[0][0]  # with the choice as it is
    choose = neuron_choice.choose
    monkeypatch.setattr(
        neuron_choice, "choose", lambda scores, share, _, *more: choose(scores, share, {}, *more)
    )
    with pytest.raises(audit.StageFailed, match="where it must not"):
        train(nano, "dense", "activation_mask", 2, tmp_path / "x", first)


@pytest.mark.parametrize("kind", KINDS)
def test_controls_train_exactly_as_many_numbers(trained, nano, kind):  # noqa: F811
    """In a second stage too, where protection leaves fewer to choose from; and each chooses its own."""
    first, masks = trained(kind, "activation_mask")[0][0], {}
    for name, options in {"": {}, **ActivationMask.CONTROLS}.items():
        here, method = begun(nano, kind, 2, first, **options)
        block = ffn.feed_forwards(here.model)[0]
        assert numbers(here.model) == 4 * 3 * round(0.1 * block.size) * 32
        masks[name] = torch.stack(list(method.chosen.values()))
        protected = neuron_choice.protected(tensors.load_state(first))
        overlap = [torch.isin(index, protected[layer]).any() for layer, index in method.chosen.items()]
        assert any(overlap) == (name == "hubs"), "hubs are what old domains protect: without protection"
    assert len(masks) == 5
    for one in masks:
        for other in masks:
            assert one == other or not torch.equal(masks[one], masks[other])


def test_random_mask_is_the_same_in_a_rerun_and_another_in_another_stream(nano):
    again = [begun(nano, "dense", choose="random")[1].chosen[0] for _ in "ab"]
    assert torch.equal(*again)
    here, method = begun(nano, "dense", choose="random")
    here.seed = 1
    assert not torch.equal(
        neuron_choice.scores("random", method.used, here.model, here.stream("mask"))[0].argsort()[:6],
        again[0],
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choose", ["active", "least", "hub", "weight"])
def test_planted_neurons_are_chosen(nano, kind, choose):
    """Rows of ``up`` a hundred times as large, or as small; in the shared expert, which all tokens visit."""
    model, _ = nano(kind)
    here, method = begun(nano, kind)
    here.model = loading.load(model)
    planted, factor = [3, 5, 8, 12, 17, 22], (0.01 if choose == "least" else 100.0)
    for block in ffn.feed_forwards(here.model):
        up = block.dense.mlp.up_proj.weight
        up.data[planted] *= factor
    method = load("methods", "activation_mask", **ROWS | {"choose": choose, "fraction": 6 / block.size})
    method.begin(here)
    start = block.size - block.shared if block.experts else 0
    for index in method.chosen.values():
        assert (index - start).tolist() == planted


@pytest.mark.parametrize("kind", KINDS)
def test_soft_protection_lets_a_neuron_take_its_share_of_the_real_step(nano, kind, tmp_path, monkeypatch):
    """AdamW with decay and clipping: of use 1 nothing, to the bit; without the gates it moves."""
    train(nano, kind, "activation_mask", 1, tmp_path / "1", options=SOFT)
    known = tensors.load_state(tmp_path / "1")
    assert not neuron_choice.protected(known) and known["use"].max() > 0.5
    known["use"][:, ::2] = 1
    tensors.save_state(tmp_path / "1", known)
    begin = ActivationMask.begin

    def remembering(self, stage):
        model = begin(self, stage)
        self.start = self.snapshot(model)
        return model

    monkeypatch.setattr(ActivationMask, "begin", remembering)
    for gated in (True, False):
        if not gated:
            monkeypatch.setattr(neuron_gates.GatedStep, "after", lambda self: None)
        folder = tmp_path / f"2{gated}"
        _, method, result, _ = train(nano, kind, "activation_mask", 2, folder, tmp_path / "1", SOFT)
        assert not method.constrained and result["audit"]["constraint_violation_max_step"] is None
        still = moving = 0
        for layer, (index, gate, _, down) in enumerate(method.deltas.layers):
            closed = index % 2 == 0
            for part, tensor, axis in (("gate", gate, 1), ("down", down, 0)):
                moved = (tensor != method.start[f"neuron_deltas.{layer}_{part}"]).any(axis)
                still += int((~moved & closed).sum())
                moving += int((moved & closed).sum())
                assert moved[~closed].any()
        assert (moving == 0 and still > 0) if gated else moving > 0
    assert torch.equal(tensors.load_state(tmp_path / "2True")["use"][:, ::2], known["use"][:, ::2])


def test_packing_and_checkpointed_gradients_change_nothing_but_rounding(nano, float64, tmp_path):
    train(nano, "dense", "activation_mask", 1, tmp_path / "1", options=SOFT)
    losses = []
    for number, more in enumerate(({}, {"packing": True, "gradient_checkpointing": True})):
        folder = tmp_path / f"2.{number}"
        _, _, result, _ = train(nano, "dense", "activation_mask", 2, folder, tmp_path / "1", SOFT, **more)
        losses.append([row["loss"] for row in result["curve"]])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)  # as in test_methods.py
    assert neuron_deltas.Deltas.from_state(result["state"]).layers
