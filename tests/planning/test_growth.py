"""How the estimate grows, where arithmetic says by how much; what was measured replaces what was assumed."""

import copy
import json
from pathlib import Path

import networks
import pytest
import yaml
from test_shapes import QWEN_27B

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import loading
from implicit_sparsity.planning import cases, costs, growth, measured, shapes, work
from implicit_sparsity.planning.costs import Job

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def study(config=None, **more):
    config = copy.deepcopy(CONFIG) | (config or {})
    shape = shapes.of_config(QWEN_27B)
    config["models"] = {"qwen_27b": {"source": "hub", "precision": "bf16"}}
    return costs.Study(config, {"qwen_27b": shape}, fast=True, **more)


@pytest.mark.parametrize("kind", networks.CONFIGS)
@pytest.mark.parametrize("factor", ["layers", "width"])
def test_doubled_shapes_are_those_of_doubled_networks(kind, factor):
    config = copy.deepcopy(networks.CONFIGS[kind])
    if factor == "layers":
        config["num_hidden_layers"] *= 2
    else:
        for name in config:
            wide = ("hidden_size", "intermediate_size", "_heads", "key_heads", "value_heads")
            config[name] = config[name] * 2 if name.endswith(wide) else config[name]
    real = sum(p.numel() for p in loading.create(config, 0).parameters())
    grown = growth.FACTORS[factor](shapes.of_config(networks.CONFIGS[kind]))
    assert grown.total == pytest.approx(real, rel=0.03)


def test_exponents():
    result = growth.exponents(study(), ["qwen_27b"])
    assert result["tokens"]["FLOPs"] == pytest.approx(1, abs=0.03)  # samples for masks do not grow
    assert result["layers"]["FLOPs"] == pytest.approx(1, abs=0.05)  # but for the head
    assert 1.8 < result["width"]["FLOPs"] < 2
    assert 0.9 < result["methods"]["FLOPs"] < 1  # the base model is measured once
    # twice the stages, and each checkpoint is scored on twice the domains
    assert 1 < result["domains"]["FLOPs"] < 2
    assert "GPU hours" not in result["tokens"]


def test_hours_follow_the_card_and_the_measured_utilisation():
    hardware = {"hardware": {"card": "a100_80gb", "price_per_hour": 2.5}}
    job = Job(0, "train_adapter", {"model": "qwen_27b", "method": "lora", "order": "forward", "stage": "1"})
    training = {"training": CONFIG["training"] | {"steps": 5000}}  # loading weights is nothing beside it
    slow = study(hardware | training).cost(job)
    fast = study({"hardware": {"card": "h100_80gb"}} | training).cost(job)
    known = study(hardware | training, measured={("qwen_27b", "train"): 0.7}).cost(job)
    opening = 20 + 2 * shapes.of_config(QWEN_27B).total / 1e9
    assert (slow.seconds - opening) / (fast.seconds - opening) == pytest.approx(989 / 312, rel=0.01)
    assert (slow.seconds - opening) / (known.seconds - opening) == pytest.approx(2, rel=0.01)
    assert study().cost(job).seconds == 0, "without hardware there is nothing to tell"


def test_measured_utilisation_is_read_from_the_benchmarks(tmp_path):
    rows = [
        {"model": "Qwen3.5-27B", "what": "train", "method": "lora", "utilisation": 0.3},
        {"model": "Qwen3.5-27B", "what": "train", "method": "orthogonal", "utilisation": 0.4},
        {"model": "Qwen3.5-27B", "what": "probe", "method": "", "utilisation": None, "note": "OOM"},
        {"model": "Qwen3.5-35B-A3B", "what": "probe", "method": "", "utilisation": 0.2},
        {"model": "nano", "what": "probe", "method": "", "utilisation": 0.9},
    ]
    figures = {"device": "NVIDIA H100 80GB HBM3", "rows": rows}
    (tmp_path / "gpu-h100.json").write_text(json.dumps(figures))
    result, files = measured.utilisation(tmp_path, ["qwen_27b", "qwen_35b_a3b", "smollm2"], "h100_80gb")
    assert result == {("qwen_27b", "train"): pytest.approx(0.35), ("qwen_35b_a3b", "probe"): 0.2}
    assert files == ["gpu-h100.json"]
    assert measured.utilisation(tmp_path / "none", ["qwen_27b"], "h100_80gb") == ({}, [])
    assert measured.utilisation(tmp_path, ["qwen_27b"], "a100_80gb") == ({}, []), "another GPU's"


def test_committed_figures_are_of_their_card_alone():
    """What was measured on one H200 plans studies on an H200, and leaves the thesis's A100 as it was."""
    folder, models = ROOT / "benchmarks" / "results", ["qwen_27b", "qwen_35b_a3b"]
    shares, files = measured.utilisation(folder, models, "h200")
    assert set(shares) == {("qwen_27b", "train"), ("qwen_27b", "probe"), ("qwen_35b_a3b", "probe")}
    assert all(0.05 < share < 0.6 for share in shares.values()) and len(files) == 2
    assert measured.utilisation(folder, models, "a100_80gb") == ({}, [])


def test_benchmark_files_of_jobs(tmp_path):
    (tmp_path / "train_adapter").mkdir()
    file = tmp_path / "train_adapter" / "m.lora.forward.seed0.stage1.tsv"
    file.write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t800.0\n")
    job = Job(
        1, "train_adapter", {"model": "m", "method": "lora", "order": "forward", "seed": "0", "stage": "1"}
    )
    assert measured.jobs(tmp_path)[measured.name_of(job)] == (12.5, 800.0)
    file.write_text("nonsense\n")
    with pytest.raises(InputError, match="no benchmark file"):
        measured.jobs(tmp_path)


def test_scoring_a_checkpoint_takes_a_pass_of_the_base_model_too():
    """For the divergence from it: its body once more on the scored documents, and both heads."""
    plan = study({"hardware": {"card": "a100_80gb"}, "methods": {"lora": {}, "full": {}}})
    base, adapted, whole = (
        plan.cost(Job(0, "evaluate_checkpoint", {"model": "qwen_27b", "checkpoint": checkpoint}))
        for checkpoint in ("base", "lora.forward.seed0.stage1", "full.forward.seed0.stage1")
    )
    shape, length = plan.shapes["qwen_27b"], plan.length("qwen_27b")
    tokens = CONFIG["evals"]["documents"] * len(CONFIG["domains"]) * length
    assert adapted.tokens - base.tokens == pytest.approx(tokens)
    flops = tokens * (work.body_flops(shape, length / 2) + 2 * work.head_flops(shape))
    assert adapted.flops - base.flops == pytest.approx(flops) == whole.flops - base.flops
    assert whole.seconds - base.seconds > 2 * shape.total / work.LOAD, "its weights are read as well"
    head = 2.0 * shape.hidden * shape.vocabulary
    assert cases.cases(plan, "qwen_27b")["evaluate_checkpoint", "lora"]["head"] == head
