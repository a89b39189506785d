"""A stage's documents, its streams of random numbers, where its network comes from, what it leaves."""

import json

import networks
import pytest
import studies
import torch
import train_adapter
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.options import load
from implicit_sparsity.training.stage import Stage

DOMAINS = ["code", "math", "medical"]


def make_stage(nano, domains=DOMAINS, tokens=None, seed=0, **more):
    """A stage whose network is not run."""
    model, folders = nano("llama")
    tokens = [folders[d] for d in domains] if tokens is None else tokens
    more = {"model": torch.nn.Linear(1, 1)} | more
    return Stage(str(model), list(domains), tokens, seed, networks.TRAINING, **more)


def ids(documents):
    return [document.ids.tolist() for document in documents]


def test_documents_are_those_of_the_last_domain_or_of_the_one_that_is_named(nano):
    """A method that reads no old documents is given the last folder alone."""
    here, folders = make_stage(nano), nano("llama")[1]
    alone = make_stage(nano, tokens=[folders["medical"]])
    assert here.domain == alone.domain == "medical"
    assert (
        ids(here.documents("train"))
        == ids(alone.documents("train"))
        == ids(here.documents("train", "medical"))
    )
    assert ids(here.documents("train", "code")) == ids(make_stage(nano, ["code"]).documents("train"))
    assert ids(here.documents("train", "code")) != ids(here.documents("train", "math"))
    assert ids(here.select_documents()) == ids(here.documents("select")) != ids(here.documents("probe_a"))


def test_a_split_without_documents_is_one_line(nano, tmp_path):
    folder = networks.make_tokens(tmp_path / "none", nano("llama")[0], "code", documents=0)
    with pytest.raises(InputError) as caught:
        make_stage(nano, ["code"], [folder]).select_documents()
    assert str(caught.value) == f"{folder}: split select has no documents"


def test_batches_to_choose_by_hold_the_first_documents_until_there_are_enough_tokens(nano):
    here = make_stage(nano)
    lengths = [len(document.ids) for document in here.select_documents()]

    def rows(tokens, **more):
        batches = list(here.select_batches(tokens, **more))
        return sorted(n for batch in batches for n in batch["attention_mask"].sum(1).tolist()), batches

    assert rows(1)[0] == rows(lengths[0])[0] == lengths[:1]
    assert rows(lengths[0] + 1)[0] == sorted(lengths[:2])
    assert rows(10**6)[0] == sorted(lengths) and rows(0)[0] == []
    _, small = rows(10**6, batch_tokens=2 * max(lengths))
    assert len(small) > 1 and all(batch["input_ids"].numel() <= 2 * max(lengths) for batch in small)


def test_streams_differ_between_seeds_domains_stages_and_names(nano):
    """A method's draws at one stage say nothing of those at another."""
    stages = [
        make_stage(nano),
        make_stage(nano, seed=1),
        make_stage(nano, ["math", "medical"]),
        make_stage(nano, ["math", "medical", "code"]),
    ]
    seeds = [here.stream(*names) for here in stages for names in (["order"], ["dropout"], ["order", "x"])]
    assert len(set(seeds)) == len(seeds)
    other = make_stage(nano, ["math", "code", "medical"])
    assert other.stream("order") == stages[0].stream("order"), "what came before changes no draw"
    draws = []
    for name in ("initialisation", "other", "initialisation"):
        stages[0].seed_everything(name)
        draws.append(torch.rand(4).tolist())
    assert draws[0] == draws[2] != draws[1]


def test_a_whole_model_that_the_stage_before_left_takes_the_place_of_the_base(nano, tmp_path):
    base = loading.load(nano("llama")[0])
    moved = loading.load(nano("llama")[0])
    moved.model.norm.weight.mul_(3)
    loading.save(moved, tmp_path / "whole", "fp32")
    networks.make_adapter(loading.load(nano("llama")[0]), tmp_path / "adapter", lambda *_: None)
    for previous, wanted in ((None, base), (tmp_path / "adapter", base), (tmp_path / "whole", moved)):
        here = make_stage(nano, model=None, previous=previous and str(previous), device="cpu")
        assert torch.equal(here.model.model.norm.weight, wanted.model.norm.weight), previous


def test_what_a_stage_leaves_is_there_for_the_next(nano, tmp_path):
    """State under any names; PEFT's set of modules in one order, whatever the process."""
    here, method = make_stage(nano, model=None, device="cpu"), load("methods", "lora", rank=2)
    here.model = method.begin(here)
    assert here.previous_state() == {}, "nothing came before the first"
    shared = torch.arange(3.0)
    here.save(method, tmp_path, {"a.b": shared, "c": shared, "d": torch.ones(2, 2, dtype=torch.int64)})
    state = make_stage(nano, previous=str(tmp_path)).previous_state()
    assert {name: tensor.tolist() for name, tensor in state.items()} == {
        "a.b": [0, 1, 2],
        "c": [0, 1, 2],
        "d": [[1, 1], [1, 1]],
    }
    modules = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and len(modules) == 2 * 7


def test_a_stacked_adapter_is_the_old_and_the_new_update_in_one(nano, tmp_path):
    """alpha / rank stays 2, so that the update of the sum of ranks is the sum of the updates."""
    draw = torch.Generator().manual_seed(0)

    def fill(name, a, b):
        a.copy_(torch.randn(a.shape, generator=draw))
        b.copy_(torch.randn(b.shape, generator=draw))

    old = networks.make_adapter(loading.load(nano("llama")[0]), tmp_path / "old", fill)
    here = make_stage(nano, DOMAINS[:2], model=None, previous=str(tmp_path / "old"), device="cpu")
    here.keep_previous()
    assert not any(p.requires_grad for p in here.model.parameters())
    network = here.model
    new = networks.make_adapter(network, tmp_path / "new", fill)
    method = load("methods", "lora", rank=4, alpha=8.0)
    here.model = method.new_adapter(here)
    state = load_file(tmp_path / "new" / "adapter_model.safetensors")
    set_peft_model_state_dict(here.model, state)
    (tmp_path / "both").mkdir()
    here.save_stacked(tmp_path / "both")
    whole = load_file(tmp_path / "both" / "adapter_model.safetensors")
    for name, delta in new.items():
        a, b = (whole[f"base_model.model.{name}.lora_{x}.weight"].double() for x in "AB")
        assert a.shape[0] == 8
        torch.testing.assert_close(2 * b @ a, (old[name] + delta)[0], atol=1e-4, rtol=1e-5)
    config = json.loads((tmp_path / "both" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (8, 16, True)


def test_seed_changes_the_adapter_and_a_rerun_does_not(nano, tmp_path):
    model, tokens = nano("llama")
    made = {}
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        folder = tmp_path / name
        recipe = studies.recipe("lora", {}, networks.TRAINING, seed=seed)
        train_adapter.train_adapter(str(folder), str(model), [str(tokens["code"])], recipe)
        made[name] = (folder / "adapter_model.safetensors").read_bytes()
    assert made["a"] == made["b"] != made["c"]
