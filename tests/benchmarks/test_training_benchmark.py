"""benchmarks/training.py at nano size: every method has its row; clock and memory meter tell the truth."""

import json
import math
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import studies
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        from stagecost import cases, memory_meter, summary, worker

        yield types.SimpleNamespace(cases=cases, memory_meter=memory_meter, summary=summary, worker=worker)


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "training.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=580, env=studies.environment())


def test_every_method_has_its_row(bench, tmp_path):
    done = run("--nano", "--rounds", 1, "--steps", 3, "--threads", 1, "--out", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / "found.json").read_text())
    rows = {row["method"]: row for row in result["rows"]}
    assert list(rows) == bench.cases.methods() and "joint" in rows and "curvature" in rows
    for name, row in rows.items():
        assert row["network"] == ("mixture" if name == "expert_mask" else "dense")
        for key in ("time", "cpu_time", "memory", "parameters", "peer_parameters", "audit_seconds"):
            assert math.isfinite(row[key]) and row[key] > 0, (name, key)
        assert name in done.stdout
    dense = rows["lora"]
    assert dense["parameters"] == dense["peer_parameters"], "PEFT LoRA trains what lora trains"
    assert "figures mean nothing" in done.stdout and "goal" not in done.stdout


def test_a_process_of_its_own_finds_the_same_run(bench, tmp_path):
    place = bench.cases.places(True, ["dense"], tmp_path)["dense"]
    asked = {"method": "lora", "options": {}, "place": place, "domains": ["code"], "steps": 2, "seed": 0}
    asked |= {"threads": 1, "previous": None, "save": None}
    command = [sys.executable, "-m", "stagecost.worker", json.dumps(asked)]
    streams = {"capture_output": True, "text": True, "timeout": 200}
    done = subprocess.run(command, cwd=ROOT / "benchmarks", env=studies.environment(), **streams)
    assert done.returncode == 0, done.stderr[-2000:]
    apart, here = json.loads(done.stdout.splitlines()[-1]), bench.worker.measure(asked)
    assert {key: apart[key] for key in ("tokens", "parameters")} == {
        key: here[key] for key in ("tokens", "parameters")
    }
    peer = bench.worker.measure(asked | {"method": None})
    assert (peer["tokens"], peer["parameters"]) == (here["tokens"], here["parameters"])
    assert set(here["phases"]) == {"begin", "audit", "train", "end"} and set(peer["phases"]) == {"train"}
    from transformers import Trainer

    assert Trainer.train.__module__.startswith("transformers"), "what was measured is put back"


def test_a_phase_has_its_own_seconds_and_its_own_peak(bench):
    memory_meter = bench.memory_meter.MemoryMeter()
    if memory_meter.gpu:
        pytest.skip("resident memory is read where there is no GPU")
    memory_meter.around("large", lambda: torch.ones(2**26).sum())()  # 256 MiB
    memory_meter.around("small", lambda: time.sleep(0.05))()
    memory_meter.around("small", lambda: time.sleep(0.05))()
    large, small = memory_meter.phases["large"], memory_meter.phases["small"]
    assert large["peak_mb"] - small["peak_mb"] > 200
    assert small["seconds"] >= 0.1 and small["cpu_seconds"] < 0.05


def test_what_costs_more_has_its_reason_and_a_goal_its_verdict(bench):
    row = {"method": "activation_mask", "network": "dense", "time": 0.9, "memory": 1.2}
    assert bench.summary.notes(row) == ["goal time <= 1: met", "goal memory <= 1: missed"]
    row = {"method": "osf", "network": "dense", "time": 1.4, "memory": 1.6}
    assert bench.summary.notes(row) == [bench.cases.REASONS["osf"]]
    assert bench.summary.notes(row | {"memory": 1.5}) == []
    assert bench.summary.notes(row | {"method": "lora"}) == ["no reason known: look into it"]
    assert {*bench.cases.REASONS, *bench.cases.GOALS, *bench.cases.OPTIONS} <= {*bench.cases.methods()}


def test_it_says_what_is_missing(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench.cases, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="smollm2"):
        bench.cases.places(False, ["dense"], tmp_path)
    done = run("--methods", "lorra")
    assert done.returncode == 2 and "no method lorra; there are activation_mask, " in done.stderr
