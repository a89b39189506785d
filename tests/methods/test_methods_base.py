"""What every method is before it says anything itself, and the LoRA that most of them train."""

from dataclasses import dataclass
from types import SimpleNamespace

import networks
import pytest
import torch
from test_methods import OPTIONS, train

from implicit_sparsity.errors import InputError
from implicit_sparsity.methods.base import LoraMethod, Method
from implicit_sparsity.models import adapters, loading, lowrank
from implicit_sparsity.training.stage import Stage


@dataclass
class Pooled(Method):
    """As many steps as all domains so far would take."""

    BUDGET = "domains"


def test_steps_are_those_of_a_stage_or_of_all_domains_so_far():
    stage = SimpleNamespace(training={"steps": 5}, domains=["code", "math", "medical"])
    assert Method().steps(stage) == 5 and Pooled().steps(stage) == 15
    assert Pooled().steps(SimpleNamespace(training={"steps": 5}, domains=["code"])) == 5


def test_a_method_that_says_nothing_changes_nothing():
    method, model = Method(), torch.nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    documents, loss = [object()], torch.tensor(1.5)
    assert method.mix(documents, None) is documents and method.loss(model, None, loss) is loss
    assert method.end(None) == {} and method.constraint_violation(model, {}) is None
    before = method.snapshot(model)
    method.gradients(model), method.step(model)
    with method.running(model), torch.no_grad():
        assert model.weight.grad is None and torch.equal(before["weight"], model.weight)
        model.weight.add_(1)
    assert before.keys() == {"weight"} and torch.equal(before["weight"] + 1, model.weight), "a copy"
    with pytest.raises(NotImplementedError):
        method.begin(None)


def test_options_of_a_lora_are_checked():
    for wrong, line in (
        ({"rank": 0}, "rank: found 0, allowed: integer >= 1 and <= 4096"),
        ({"dropout": 1.0}, "dropout: found 1.0, allowed: number >= 0 and <= 0.9"),
        ({"targets": "attention"}, "targets: found 'attention', allowed: all | mlp"),
        ({"learning_rate": -1.0}, "learning_rate: found -1.0, allowed: number >= 0 and <= 1"),
    ):
        with pytest.raises(InputError) as caught:
            LoraMethod(**wrong)
        assert str(caught.value) == line


def begun(nano, method, previous=None, domains=("code",), seed=0):
    """The model that a method trains at a stage."""
    model, tokens = nano("llama")
    shards = [tokens[domain] for domain in domains]
    stage = Stage(str(model), list(domains), shards, seed, networks.TRAINING, previous and str(previous))
    return method.begin(stage)


def test_a_first_stage_draws_a_lora_from_its_own_stream(nano):
    """A is drawn, B is 0; whatever was drawn before."""
    method = LoraMethod(rank=2, alpha=6.0, targets="mlp", dropout=0.25)
    first = begun(nano, method)
    torch.rand(3)
    again, other = begun(nano, method), begun(nano, method, seed=1)
    factors = [lowrank.snapshot(model) for model in (first, again, other)]
    assert len(factors[0]) == 2 * 3
    for name, (a, b) in factors[0].items():
        assert a.shape[1] == 2 and a.any() and not b.any()
        assert torch.equal(a, factors[1][name][0]) and not torch.equal(a, factors[2][name][0])
    config = first.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (2, 6.0, 0.25)


def test_a_later_stage_goes_on_with_the_adapter_of_the_one_before(nano, tmp_path):
    """Its rank stays that of the adapter, and it is trained."""
    deltas = networks.make_adapter(
        loading.load(nano("llama")[0]), tmp_path, lambda name, a, b: (a.fill_(1), b.fill_(2))
    )
    model = begun(nano, LoraMethod(rank=8), tmp_path, ("code", "math"))
    for name, factor in lowrank.factors(model).items():
        a, b = factor.views
        assert a.requires_grad and b.requires_grad and a.shape[1] == 4
        torch.testing.assert_close(2.0 * (b @ a).double(), deltas[name])


def test_only_its_own_adapter_is_saved(nano, tmp_path):
    """In bfloat16 the earlier one, which stays beside the weights, is the stage before's."""
    networks.make_adapter(loading.load(nano("llama")[0]), tmp_path / "old", lambda *_: None)
    model = adapters.add_lora(
        adapters.with_adapter(loading.load(nano("llama")[0], "bf16"), tmp_path / "old"), 2, 4.0
    )
    LoraMethod().save(SimpleNamespace(model=model), tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "README.md",
    }
    assert (
        adapters.add_adapter(loading.load(nano("llama")[0]), tmp_path / "new").peft_config["default"].r == 2
    )


def test_routers_are_adapted_where_they_are_asked_for(nano, tmp_path):
    """Their LoRA gets a gradient, B's subspace covers them, and the second stage keeps off it."""
    for name in ("lora", "orthogonal"):
        options = OPTIONS.get(name, {}) | {"router": True}
        train(nano, "mixture", name, 1, tmp_path / f"{name}1", options=options)
        here, _, result, _ = train(
            nano, "mixture", name, 2, tmp_path / f"{name}2", tmp_path / f"{name}1", options
        )
        routers = [n for n in lowrank.factors(here.model) if n.endswith("mlp.gate.weight")]
        assert len(routers) == 4 and result["audit"]["without_gradient"] == 0
        if name == "orthogonal":
            assert result["audit"]["constraint_violation_max_step"] < 1e-5 and set(routers) <= set(
                result["state"]
            )
