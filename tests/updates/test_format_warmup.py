"""The format warm-up: the stop token is learned, base and LoRA become one, a kill loses nothing."""

from pathlib import Path

import networks
import numpy as np
import pytest
import torch
import workers
from safetensors.torch import load_file
from warm_up_format import warm_up_format

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import adapters, forward, loading
from implicit_sparsity.storage import files
from implicit_sparsity.training.audit import StageFailed
from implicit_sparsity.updates import format_warmup

TOKENS = {"template": networks.TEMPLATE, "max_length": 160, "min_completion": 2}
BUDGET = {"steps": 30, "documents": 48}


@pytest.fixture(scope="module", autouse=True)
def fast():
    """A rate at which a network of random weights learns something in 30 steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_warmup.FormatWarmup, "LEARNING_RATE", 1e-2)
        yield


@pytest.fixture(scope="module")
def warmed(nano, tmp_path_factory):
    """kind -> the folder of a warmed nano network."""
    made, place = {}, tmp_path_factory.mktemp("warmed")

    def get(kind, **base):
        key = kind + base.get("precision", "")
        if key not in made:
            made[key] = place / key
            warm_up_format(str(made[key]), str(nano(kind)[0]), base, BUDGET, TOKENS)
        return made[key]

    return get


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_the_stop_token_is_learned_and_the_folder_says_so(nano, warmed, kind):
    folder, source = warmed(kind), nano(kind)[0]
    manifest, given = (files.read_json(Path(place) / "manifest.json") for place in (folder, source))
    record = manifest["format_warmup"]
    assert record["steps"] == 30 and record["documents"] == 48 and record["tokens"] > 30 * 8 * 20
    assert record["after"]["stop"] < 0.7 * record["before"]["stop"]
    assert record["saved"] == pytest.approx(record["after"], rel=1e-3), "merged: nothing but rounding is lost"
    assert manifest["revision"].startswith(f"{given['revision']}+format_warmup-")
    assert "30 steps on 48 neutral documents" in manifest["note"]
    listed = {name: files.sha256(folder / name) for name in manifest["files"]}
    assert listed == manifest["files"] and {"model.safetensors", "config.json", "tokenizer.json"} <= set(
        listed
    )
    assert (folder / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    assert not list(folder.parent.glob(".partial-*"))


def test_experts_routers_embeddings_and_norms_stay(nano, warmed):
    before, after = (
        load_file(Path(p) / "model.safetensors") for p in (nano("mixture")[0], warmed("mixture"))
    )
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all("proj" in name or "shared_expert_gate" in name for name in moved), moved
    assert not any("mlp.experts" in name or "embed" in name or "norm" in name for name in moved)


def test_an_update_is_of_the_ranks_that_it_says(nano, warmed):
    before, after = (load_file(Path(p) / "model.safetensors") for p in (nano("dense")[0], warmed("dense")))
    update = (
        after["model.layers.0.mlp.up_proj.weight"] - before["model.layers.0.mlp.up_proj.weight"]
    ).double()
    values = torch.linalg.svdvals(update)
    rank = format_warmup.FormatWarmup.RANK
    assert values[rank - 1] > 1e-3 * values[0] and values[rank] < 1e-4 * values[0]


def test_bfloat16_keeps_what_was_learned(warmed):
    manifest = files.read_json(warmed("dense", precision="bf16") / "manifest.json")
    record = manifest["format_warmup"]
    assert record["saved"]["stop"] < record["before"]["stop"] - 0.5 * (
        record["before"]["stop"] - record["after"]["stop"]
    )
    state = load_file(warmed("dense", precision="bf16") / "model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}


def test_an_update_that_is_rounded_away_is_refused():
    record = {"before": {"stop": 5.0}, "after": {"stop": 1.0}, "saved": {"stop": 3.1}}
    with pytest.raises(
        InputError, match=r"training\.format_warmup.*5\.00 to 1\.00, in the saved weights to 3\.10"
    ):
        format_warmup._check(record)
    format_warmup._check(record | {"saved": {"stop": 2.9}})
    format_warmup._check(record | {"after": {"stop": 5.1}, "saved": {"stop": 5.2}})  # it knew the format


def test_the_loss_is_of_stop_tokens_and_of_what_moved_at_all_others(nano):
    """Before any step nothing has moved; the gradient of that part alone is nought there."""
    network = loading.load(nano("dense")[0])
    documents = format_warmup._documents(nano("dense")[0], TOKENS, 4)
    before = format_warmup._states(network, documents)
    network = adapters.add_linear_lora(network, 2, 4, targets="all")
    for name, p in network.named_parameters():
        p.data += 0.05 * ("lora_B" in name)  # moves every distribution
    (batch,) = format_warmup._batches(documents, before, [[2, 0, 3, 1]])
    method = format_warmup.FormatWarmup(1e-3, 1, [])
    with method.running(network):
        forward.hidden_states(network, **forward.inputs(batch))
        result = method.loss(network, batch, None)
    total = count = 0
    frozen = loading.load(nano("dense")[0])
    for document in documents:
        with torch.no_grad():
            old, new = (networks.log_probabilities(x, document.ids) for x in (frozen, network))
        moved = (old.exp() * (old - new)).sum(-1)
        start = int(np.flatnonzero(~document.prompt)[0])
        total += float(moved[start - 1 : -1].sum()) - float(new[-1, document.ids[-1]])
        count += len(document.ids) - start
    assert float(result) == pytest.approx(total / count, rel=1e-4)


def test_too_short_a_template_is_refused(nano, tmp_path):
    with pytest.raises(InputError, match=r"tokens\.max_length.*too short for 112 neutral documents, 0 fit"):
        short = TOKENS | {"max_length": 12}
        warm_up_format(str(tmp_path / "m"), str(nano("dense")[0]), {}, BUDGET, short)


def test_a_killed_run_ends_in_the_same_bytes(nano, warmed, tmp_path, monkeypatch):
    arguments = str(tmp_path / "dense"), str(nano("dense")[0]), {}, BUDGET, TOKENS
    with monkeypatch.context() as patch:
        workers.sigterm_at(format_warmup.FormatWarmup, 11, patch)
        with pytest.raises(StageFailed, match="stopped at step 11 of 30"):
            warm_up_format(*arguments)
    assert (
        not (tmp_path / "dense").exists() and len(list(tmp_path.glob(".partial-dense-*/checkpoint-11"))) == 1
    )
    warm_up_format(*arguments)
    for path in warmed("dense").iterdir():
        assert (tmp_path / "dense" / path.name).read_bytes() == path.read_bytes(), path.name


def test_losses_of_parts_are_means_over_documents(nano):
    """Each document's own, computed alone from the logits."""
    network = loading.load(nano("dense")[0])
    documents = format_warmup._documents(nano("dense")[0], TOKENS, 5)
    wanted = {"content": [], "first": [], "stop": []}
    for document in documents:
        nats = networks.token_nats(network, document.ids).numpy()
        start = int(np.flatnonzero(~document.prompt)[0])
        assert document.meta["stop"] == 1
        wanted["first"].append(nats[start])
        wanted["content"].append(nats[start + 1 : -1].mean())
        wanted["stop"].append(nats[-1])
    result = format_warmup.part_losses(network, documents)
    assert result == pytest.approx({part: np.mean(values) for part, values in wanted.items()}, rel=1e-4)
    assert {type(value) for value in result.values()} == {float}, "a record of JSON"
