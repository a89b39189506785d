"""benchmarks/gpu.py at nano size: the same script, cases and loop as on a GPU."""

import json
import math
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from implicit_sparsity.planning import measured

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("tokens_per_s", "peak_memory_gb", "utilisation", "model_utilisation", "seconds_per_step")
METHODS = ("lora", "activation_mask", "orthogonal")


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu

    return gpu


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_every_case_of_both_models_has_its_row(tmp_path):
    done = run("--nano", "--steps", 2, "--lengths", 48, "--out", tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "gpu.json").read_text())
    rows = result["rows"]
    cases = [(row["model"], row["what"], row["method"]) for row in rows]
    passes = [("forward", None), ("probe", None), *(("train", method) for method in METHODS)]
    dense = [("qwen3_5_27b", *case) for case in [*passes, ("train", "lora"), ("decode", None)]]
    more = [("train", "activation_mask"), ("train", "lora"), ("decode", None)]
    assert cases == dense + [("qwen3_5_35b_a3b", *case) for case in [*passes, *more]]
    for row in rows:
        rated = FIGURES if row["what"] != "decode" else ("tokens_per_s", "peak_memory_gb", "seconds_per_step")
        assert all(math.isfinite(row[name]) and row[name] > 0 for name in rated), row
        per_step = row["batch"] * (48 if row["what"] != "decode" else 1)
        assert math.isclose(row["tokens_per_s"] * row["seconds_per_step"], per_step)
    steps = [row for row in rows if row["what"] == "train"]
    again = [row["utilisation"] > row["model_utilisation"] for row in steps]
    assert again == [row["gradient_checkpointing"] for row in steps], "recompute not counted"
    assert again.count(False) == 2
    assert {row["note"][:7] for row in steps if row["method"] == "orthogonal"} == {"stage 2"}
    assert [row["options"].get("choose") for row in steps].count("random") == 1
    assert all(row["loss"] == pytest.approx(math.log(320), rel=0.1) for row in steps)
    assert result["kernels"]["chunk_gated_delta_rule"].startswith(("fla.", "transformers."))
    assert (
        result["nano"] and result["cut_layers"] is None and result["versions"]["torch"] == torch.__version__
    )
    assert len(done.stdout.splitlines()) == 2 + len(rows) + 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("qwen3_5_")]
    assert len(lines) == len(rows) and all("train  lora  4  48" in line for line in lines[2:3])  # as they end
    models = ["qwen3_5_27b", "qwen3_5_35b_a3b"]
    shares, files = measured.utilisation(tmp_path, models, result["device"])  # what planning makes of it
    assert set(shares) == {(model, what) for model in models for what in ("train", "probe")}
    assert files == ["gpu.json"]


def test_settings_are_those_of_the_thesis(gpu):
    """Read from slurm/thesis.yaml, so that a benchmark is of what will be run."""
    from implicit_sparsity.options import load

    study = gpu.study()
    assert set(study["methods"]) == set(METHODS) and len(study["probe"]["top_k"]) == 4
    for name, options in study["methods"].items():
        assert "sweep" not in options and load("methods", name, **options)
    assert gpu.arguments([]).batch == study["training"]["batch_size"]
    setting = gpu.steps.settings(1, 1, "bf16", "cpu")
    assert setting["packing"] == study["training"]["packing"] is True
    assert setting["gradient_checkpointing"] == study["training"]["gradient_checkpointing"] is True


def test_a_case_leaves_no_network_behind(gpu):
    """The next case needs the whole GPU: B, which holds most, keeps none of its two networks."""
    import weakref

    made = []

    def make():
        network = gpu.networks.create(gpu.networks.NANO["qwen3_5_35b_a3b"], "cpu", "bf16")
        made.append(weakref.ref(network.model.embed_tokens.weight))
        return network

    cpu = gpu.meter.Meter("cpu")
    gpu.steps.measure(make, "orthogonal", {"rank": 4}, 16, 1, 1, cpu, precision="bf16")
    cpu.clear()
    assert len(made) == 2 and [reference() for reference in made] == [None, None]


def test_without_a_card_only_nano_runs(gpu):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run("--models", "qwen3_5_27b")
    assert done.returncode == 0 and "no GPU here, nothing measured; --nano" in done.stdout


def test_shapes_have_the_published_parameter_counts(gpu):
    from implicit_sparsity.planning import shapes

    totals = {name: shapes.of_config(shape).total / 1e9 for name, shape in gpu.networks.SHAPES.items()}
    assert {name: round(total, 2) for name, total in totals.items()} == {
        "qwen3_5_27b": 26.90,
        "qwen3_5_35b_a3b": 34.66,
    }


def test_a_network_made_in_place_is_initialised_whole(gpu):
    """Every tensor as the class draws or computes it: none is left as memory happened to be."""
    from implicit_sparsity.models import loading

    for name, config in gpu.networks.NANO.items():
        made, drawn = gpu.networks.create(config, "cpu", "bf16"), loading.create(config, 1)
        expected = dict(drawn.named_parameters())
        for key, value in made.named_parameters():
            wide = value.detach().float()
            assert value.dtype == torch.bfloat16 and wide.isfinite().all(), (name, key)
            if wide.numel() > 1000:
                assert 0.8 < wide.std() / expected[key].std() < 1.25, (name, key)
            elif not key.endswith("A_log"):
                assert abs(wide.mean() - expected[key].mean()) < 0.02, (name, key)
        for key, value in drawn.named_buffers():
            assert torch.equal(value, dict(made.named_buffers())[key]), (name, key)


def test_a_case_that_fails_has_a_row_and_the_rest_go_on(gpu, capsys, tmp_path):
    args = gpu.arguments(["--nano", "--out", str(tmp_path / "gpu.json")])
    args.device = "cpu"
    case = gpu.Run(args)

    def too_large():
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a capacity of ..."
        )

    label = {"model": "a", "what": "train", "method": "lora"}
    case._case([label], too_large)
    assert "OOM" in case.rows[0]["note"] and "2.00 GiB" in case.rows[0]["note"]
    case._case([label | {"what": "forward"}], lambda: [{"tokens_per_s": 1.0, "note": "fine"}])
    assert case.rows[1]["tokens_per_s"] == 1.0
    case.args = types.SimpleNamespace(**vars(args) | {"budget_seconds": 0.0})
    case._case([label], too_large)
    assert case.rows[2]["note"].startswith("left out") and case.rows[2]["tokens_per_s"] is None
    case.args = args
    case._case([label], lambda: (_ for _ in ()).throw(ValueError("not of memory")))
    assert case.rows[3]["note"] == "failed: ValueError: not of memory" and case.broken == 1
    assert "Traceback" in capsys.readouterr().err
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == case.rows
    table = gpu.table(case.result() | {"nano": False, "cut_layers": 8})
    assert "CUT to 8 layers" in table and "OOM" in table
