"""What was measured, read from benchmarks and committed results."""

import json
from pathlib import Path

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.planning import measured
from implicit_sparsity.planning.costs import Job

ROOT = Path(__file__).parents[2]


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
