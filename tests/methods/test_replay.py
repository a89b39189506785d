"""Replay: exactly the share that is asked for, of old domains alone, another draw each stage."""

import networks
import pytest
import workers
from test_methods import train, trained  # noqa: F401 (a fixture)
from workers import forked  # noqa: F401 (a fixture)

from implicit_sparsity.options import load
from implicit_sparsity.storage import tensors
from implicit_sparsity.training.stage import Stage

DOMAINS = ["code", "math", "medical"]
FILE = "adapter_model.safetensors"


def mixed(nano, tmp_path, domains, ratio, seed=0):
    """(new documents, numbers of old ones by domain as they were mixed in, the state left); math has 10."""
    model, tokens = nano("dense")
    folders = dict(tokens)
    if not (tmp_path / "few").exists():
        networks.make_tokens(tmp_path / "few", model, "math", documents=10)
    folders["math"] = tmp_path / "few"
    stage = Stage(
        str(model), domains, [folders[d] for d in domains], seed, networks.TRAINING, model="not run"
    )
    owner = {
        bytes(d.ids): (name, i) for name in domains for i, d in enumerate(stage.documents("train", name))
    }
    method = load("methods", "replay", ratio=ratio)
    whose = [owner[bytes(d.ids)] for d in method.mix(stage.documents("train"), stage)]
    new = [i for domain, i in whose if domain == domains[-1]]
    old = {d: [i for domain, i in whose if domain == d] for d in domains[:-1]}
    return new, old, method.end(stage)


@pytest.mark.parametrize("ratio, counts", [(0.1, (2, 1)), (0.25, (6, 2)), (0.01, (1, 1)), (1.0, (24, 10))])
def test_counts_are_exact_and_documents_those_of_old_domains(nano, tmp_path, ratio, counts):
    """round(ratio * n), at least one, of 24 and 10 documents; every new one once."""
    new, old, left = mixed(nano, tmp_path, DOMAINS, ratio)
    assert new == list(range(24))
    assert tuple(len(set(old[d])) for d in DOMAINS[:2]) == counts == tuple(len(old[d]) for d in DOMAINS[:2])
    assert {name: index.tolist() for name, index in left.items()} == {f"replayed.{d}": old[d] for d in old}


def test_draws_come_from_the_stage_and_the_seed(nano, tmp_path):
    _, two, _ = mixed(nano, tmp_path, DOMAINS[:2], 0.25)
    _, three, _ = mixed(nano, tmp_path, DOMAINS, 0.25)
    assert two == mixed(nano, tmp_path, DOMAINS[:2], 0.25)[1] and list(two) == ["code"]
    assert two["code"] != three["code"], "each stage draws anew"
    assert two["code"] != mixed(nano, tmp_path, DOMAINS[:2], 0.25, seed=1)[1]["code"]
    assert mixed(nano, tmp_path, DOMAINS[:1], 0.25)[1:] == ({}, {}), "at the first stage nothing is old"


def test_ratio_zero_is_plain_lora_to_the_bit(trained, nano, tmp_path):  # noqa: F811
    first, lora = (run[0] for run in trained("dense", "lora"))
    train(nano, "dense", "replay", 2, tmp_path / "none", first, {"ratio": 0.0})
    assert (tmp_path / "none" / FILE).read_bytes() == (lora / FILE).read_bytes()
    replayed = trained("dense", "replay")[1][0]
    assert (replayed / FILE).read_bytes() != (lora / FILE).read_bytes()
    assert len(tensors.load_state(replayed)["replayed.code"]) == 2


@pytest.mark.parametrize("method", ["replay", "joint"])
def test_processes_that_share_a_batch_mix_the_same_documents(
    nano,
    forked,  # noqa: F811
    float64,
    tmp_path,
    monkeypatch,
    method,
):
    """Each of two workers draws for itself, and the process that saves draws again."""
    monkeypatch.setitem(workers.OPTIONS, method, workers.OPTIONS["lora"])
    first = workers.train(nano, "dense", method, 1, tmp_path / "first")
    one, two = (workers.train(nano, "dense", method, gpu, tmp_path / str(gpu), first) for gpu in (1, 2))
    workers.assert_same_stage(one, two)
    assert (one / "state.safetensors").read_bytes() == (two / "state.safetensors").read_bytes()
