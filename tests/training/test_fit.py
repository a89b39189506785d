"""A stage from its documents to what it leaves, and what it leaves where it is stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import networks
import numpy as np
import pytest
import studies
import torch
import train_adapter
import workers

from implicit_sparsity.corpora.tokens import SCORED, Document
from implicit_sparsity.methods.lora import Lora
from implicit_sparsity.models import batching, forward, loading
from implicit_sparsity.models.losses import completion_nats
from implicit_sparsity.options import load
from implicit_sparsity.training import audit, fit
from implicit_sparsity.training.stage import Stage


def stage(nano, kind="llama", **more):
    model, tokens = nano(kind)
    return Stage(str(model), ["code"], [tokens["code"]], 0, networks.TRAINING | more)


def test_a_share_is_all_of_a_batch_in_one_process():
    documents = networks.documents((7, 5, 4, 3))  # 3 tokens of each are its prompt, and none comes before
    (batch,) = fit.share([documents], packing=False)
    assert batch["attention_mask"].sum(1).tolist() == [7, 5, 4, 3]
    assert batch["weight"] == 1 / (4 + 2 + 1 + 0)
    (packed,) = fit.share([documents], packing=True)
    assert packed["lengths"] == [7, 5, 4, 3] and packed["weight"] == batch["weight"]
    (nothing,) = fit.share([documents[3:]], packing=False)
    assert nothing["weight"] == 1, "a batch without completions divides by none"


def test_of_two_processes_each_has_every_second_document_and_their_mean_is_the_whole(tmp_path):
    """The mean over processes of a share's nats times its weight is the mean over all completion tokens."""
    documents = networks.documents((12, 9, 4, 20))
    model = networks.network("llama")

    def of(shared):
        return float(completion_nats(model, shared)[0].sum() * shared["weight"])

    def share(rank):
        (mine,) = fit.share([documents], packing=False)
        return [mine["attention_mask"].sum(1).tolist(), of(mine)]

    (first, one), (second, two) = workers.together(2, share, tmp_path / "two")
    assert (first, second) == ([12, 4], [9, 20])
    assert (one + two) / 2 == pytest.approx(of(*fit.share([documents], packing=False)), rel=1e-5)


def test_tokens_are_those_of_the_documents_of_each_step(nano, tmp_path):
    """24 documents in 6 steps of 4: each comes once, so that they add up to the split's."""
    here, method = stage(nano, steps=6), load("methods", "lora", rank=2)

    def mix(documents, _):
        """All of one group but one."""
        groups = ["b" if i == 5 else "a" for i in range(len(documents))]
        return [Document(d.ids, d.prompt, d.meta | {"group": g}) for d, g in zip(documents, groups)]

    method.mix = mix
    result, documents = fit.run_stage(here, method, tmp_path), here.documents("train")
    assert len(documents) == 24 and len(result["curve"]) == 6 and result["state"] == {}
    assert sum(row["tokens"] for row in result["curve"]) == sum(len(d.ids) for d in documents)
    assert result["tokens"] == sum(len(d.ids) for d in documents)
    assert result["completion_tokens"] == sum(int((~d.prompt).sum()) for d in documents)
    assert [row["n"] for row in result["curve"]] == 6 * [4] and result["documents"] == 24
    assert sorted(row["groups"] for row in result["curve"]) == 5 * [1] + [2] and result["groups"] == 2


@pytest.mark.parametrize("packing", [False, True])
def test_a_curve_has_the_loss_of_each_part(nano, float64, tmp_path, monkeypatch, packing):
    """They add up to the completion's, whatever a method adds to the objective; the first step, where a LoRA
    does nothing yet, is the base model's on every document alone."""
    monkeypatch.setattr(Lora, "loss", lambda self, model, batch, loss: loss + 1)
    here = stage(nano, packing=packing)
    result, documents = (
        fit.run_stage(here, load("methods", "lora", rank=2), tmp_path),
        here.documents("train"),
    )
    lengths = [len(document.ids) for document in documents]
    plan = batching.training_batches(lengths, 4, 4, here.stream("order"))
    for row, batch in zip(result["curve"], plan, strict=True):
        parts = np.concatenate([documents[i].parts for i in batch])
        assert {p: row[f"tokens_{p}"] for p in SCORED} == {p: (parts == n).sum() for p, n in SCORED.items()}
        total = sum(row[f"tokens_{part}"] * row[f"loss_{part}"] for part in SCORED)
        count = sum(row[f"tokens_{part}"] for part in SCORED)
        assert total == pytest.approx(count * row["loss_completion"], rel=1e-12)
        assert row["loss"] == pytest.approx(row["loss_completion"] + 1, rel=1e-6)
    model, nats = loading.load(nano("llama")[0]), {part: [] for part in SCORED}
    for i in plan[0]:
        each = networks.token_nats(model, documents[i].ids).numpy()
        for part, number in SCORED.items():
            nats[part] += each[documents[i].parts == number].tolist()
    for part, values in nats.items():
        assert result["curve"][0][f"loss_{part}"] == pytest.approx(np.mean(values), rel=1e-9)


def test_a_model_is_left_as_it_was_found_whatever_happens(nano, tmp_path, monkeypatch):
    """In eval mode, layers no longer computed again, no hook of ours, SIGTERM as before."""
    here = stage(nano, "mixture", gradient_checkpointing=True, packing=True)
    seen, before = [], signal.getsignal(signal.SIGTERM)

    def interrupted(self, model):
        network = forward.base_network(model)
        seen.append((model.training, network.is_activation_checkpointing))
        seen.append((hooks(model) > 0, signal.getsignal(signal.SIGTERM) != before))
        raise KeyboardInterrupt

    def hooks(model):
        modules, kinds = model.modules(), ("_forward_hooks", "_forward_pre_hooks")
        placed = [hook for module in modules for kind in kinds for hook in getattr(module, kind).values()]
        return sum(hook.__module__.startswith("implicit_sparsity") for hook in placed)  # not transformers'

    monkeypatch.setattr(Lora, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit.run_stage(here, load("methods", "lora"), tmp_path)
    assert seen == [(True, True)] * 2 and hooks(here.model) == 0
    assert not here.model.training and not forward.base_network(here.model).is_activation_checkpointing
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_ends_after_the_step_at_hand_and_the_stage_goes_on_from_there(nano, tmp_path, monkeypatch):
    """In the middle of the warm-up: the next step has its own rate, not the first one's."""
    method, whole = load("methods", "lora", rank=2), stage(nano, warmup=3)
    wanted = fit.run_stage(whole, method, tmp_path / "whole")
    with monkeypatch.context() as patch:
        workers.sigterm_at(Lora, 2, patch)
        with pytest.raises(audit.StageFailed) as caught:
            fit.run_stage(stage(nano, warmup=3), method, tmp_path / "stopped")
    assert str(caught.value) == "stopped at step 2 of 4; run again to continue"
    assert [path.name for path in (tmp_path / "stopped").glob("checkpoint-*")] == ["checkpoint-2"]
    here = stage(nano, warmup=3)
    assert fit.run_stage(here, method, tmp_path / "stopped") == wanted
    for (name, p), same in zip(here.model.named_parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(p, same), name


def test_only_the_main_thread_listens_for_sigterm():
    loop, heard = type("Loop", (), {"stopping": False})(), []

    def inside():
        with fit._saves_on_sigterm(loop):
            heard.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert heard == [before], "python lets no other thread set a handler"
    with fit._saves_on_sigterm(loop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert loop.stopping
    assert signal.getsignal(signal.SIGTERM) == before


TRAIN = """
import json, sys
import train_adapter
given = json.loads(sys.argv[1])
train_adapter.train_adapter(given["folder"], given["model"], given["tokens"], given["recipe"])
"""


def start_training(folder, model, tokens):
    """A stage of 40 steps with a restart point every 3, in a process of its own."""
    training = networks.TRAINING | {"steps": 40, "checkpoint_every": 3}
    recipe = studies.recipe("activation_mask", {"fraction": 0.1}, training)
    given = {"folder": str(folder), "model": str(model), "tokens": [str(tokens["code"])], "recipe": recipe}
    environment = studies.environment(PYTHONPATH=str(Path(train_adapter.__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(given)], env=environment, stderr=subprocess.DEVNULL
    )


def test_stage_killed_hard_ends_in_the_same_bytes(nano, tmp_path):
    """SIGKILL once it has saved something, SIGTERM once it has saved more, then to the end."""
    model, tokens = nano("dense")
    assert start_training(tmp_path / "whole", model, tokens).wait() == 0
    killed, seen = tmp_path / "killed", 0
    for signal_number in (signal.SIGKILL, signal.SIGTERM):
        process = start_training(killed, model, tokens)
        while process.poll() is None:
            steps = [int(p.parent.name.split("-")[1]) for p in tmp_path.glob(".partial-killed-*/*/complete")]
            if max(steps, default=0) > seen:
                process.send_signal(signal_number)
                seen = max(steps)
                break
            time.sleep(0.01)
        assert process.wait() != 0 and not killed.exists(), "stopped before the end, and nothing half-made"
    assert start_training(killed, model, tokens).wait() == 0
    for path in sorted((tmp_path / "whole").iterdir()):
        if path.name != "stage.json":
            assert (killed / path.name).read_bytes() == path.read_bytes(), path.name
    records = [json.loads((tmp_path / n / "stage.json").read_text()) for n in ("whole", "killed")]
    assert all(record.pop("measured") for record in records) and records[0] == records[1]
    assert not list(tmp_path.glob(".partial-*"))
