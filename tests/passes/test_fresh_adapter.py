"""A fresh LoRA: where it starts it changes nothing, and it starts there every time."""

import networks
import pytest
import torch

from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.models import loading
from implicit_sparsity.models.batching import collate
from implicit_sparsity.passes.fresh_adapter import FreshAdapter
from implicit_sparsity.training.pretraining import EveryWeight

OPTIONS = {"learning_rate": 0.02, "gradient_checkpointing": False}
IDS = torch.arange(3, 39).view(3, 12)


def factors(adapter) -> dict:
    return {name: p.detach().clone() for name, p in adapter.trained.items()}


@pytest.fixture
def batches(nano):
    documents = list(Tokens(nano("llama")[1]["code"]).split("train"))
    return [collate(documents[i : i + 2]) for i in range(0, 6, 2)]


@pytest.mark.parametrize("kind", ["llama", "mixture"])
def test_it_starts_as_the_network_itself_and_only_its_factors_learn(nano, kind):
    plain = networks.logits(loading.load(nano(kind)[0]), IDS)
    adapter = FreshAdapter(loading.load(nano(kind)[0]), 4, "test")
    torch.testing.assert_close(networks.logits(adapter.model.eval(), IDS), plain)
    assert adapter.trained and all(".lora_" in name for name in adapter.trained)
    (config,) = adapter.model.peft_config.values()
    assert (config.r, config.lora_alpha) == (4, 8)


def test_factors_are_those_of_the_stream_whatever_the_checkpoint(nano):
    network, other = loading.load(nano("llama")[0]), loading.load(nano("llama")[0])
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight.mul_(2)
    torch.rand(3)  # what was drawn before is of no account
    one, same = FreshAdapter(network, 4, "test").start, FreshAdapter(other, 4, "test").start
    apart = FreshAdapter(loading.load(nano("llama")[0]), 4, "another").start
    assert one.keys() == same.keys() and all(torch.equal(one[name], same[name]) for name in one)
    assert all(torch.equal(one[n], apart[n]) == ("lora_B" in n) for n in one), "B is 0 in all"


def test_every_training_begins_at_the_first_factors(nano, batches, tmp_path):
    adapter = FreshAdapter(loading.load(nano("llama")[0]), 4, "test")
    method, seen = EveryWeight(0.02, len(batches), []), []
    for name in "ab":
        rows = adapter.learn(method, batches, OPTIONS, tmp_path / name, 0)
        assert [row["learning_rate"] for row in rows] == [0.02] * 3, "constant, from the first step on"
        seen.append(([row["loss"] for row in rows], factors(adapter)))
    (losses, after), (again, same) = seen
    assert losses == again and losses[-1] != losses[0]
    assert all(torch.equal(after[name], same[name]) for name in after)
    assert not any(torch.equal(after[name], adapter.start[name]) for name in after)
    adapter.reset()
    assert all(torch.equal(p, adapter.start[name]) for name, p in factors(adapter).items())
