"""benchmarks/probing.py on a nano model: the script and every row; the peers' passes if installed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import studies

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {"skip_first": 1, "groups": 4, "batch_tokens": 128, "top_k": [0.05, 3], "thresholds": [0.01, 0.1]}


@pytest.fixture
def contenders(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import contenders.passes
    import contenders.plain
    import contenders.tables
    import contenders.worker

    return contenders


@pytest.fixture
def llama(nano):
    model, tokens = nano("llama")
    return model, list(tokens.values())


def run(model, documents, *arguments, **environment):
    script = [sys.executable, str(ROOT / "benchmarks" / "probing.py"), "--quick", "--model", str(model)]
    command = [*script, "--documents", *map(str, documents), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=studies.environment(**environment)
    )


def test_every_pass_has_its_row_and_a_peer_that_cannot_be_installed_says_why(llama, tmp_path):
    out, nothing = tmp_path / "found.json", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    done = run(*llama, "--out", out, "--peers", tmp_path / "peers", **nothing)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(out.read_text())
    rows = {row["pass"]: row for row in result["rows"]}
    assert len(rows) == 7 and list(rows)[:2] == ["backbone", "ours"]
    for name in ("backbone", "ours"):
        row = rows.pop(name)
        for key in ("seconds", "seconds_to_backbone", "processor_seconds_to_backbone"):
            middle, low, high = row[key]
            assert math.isfinite(middle) and 0 < low <= middle <= high
        assert row["note"] == ""
    assert all(row["note"].startswith("pip: ERROR: No matching") for row in rows.values()), rows
    assert [row["pass"] for row in result["memory"]] == ["backbone", "ours"]
    assert all(math.isfinite(peak) and peak >= 0 for row in result["memory"] for peak in row["peak_mb"])
    assert "| nnsight | not measured: pip: ERROR" in done.stdout
    assert done.stdout.count("goal: ") == 5 and done.stdout.count(": not measured\n") == 4


def test_too_few_documents_end_it_in_a_line(llama):
    done = run(*llama, "--no-peers", "--tokens", 10**6)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "lower --tokens" in done.stderr


def statistics_of(contenders, network, documents, plain, run=None):
    import torch

    from implicit_sparsity.models import ffn
    from implicit_sparsity.passes.accumulators import ActivationStatistics

    kind = contenders.plain.PlainStatistics if plain else ActivationStatistics
    groups = OPTIONS["groups"]
    result = kind(ffn.feed_forwards(network), OPTIONS["top_k"], OPTIONS["thresholds"], "cpu", groups)
    with torch.inference_mode():
        (run or contenders.passes.ours(network))(result, documents, False)
    return result.arrays()


def test_plain_pytorch_comes_to_the_same_statistics(contenders, llama):
    from implicit_sparsity.models import loading

    network = loading.load(llama[0], device="cpu")
    documents = contenders.worker.take(llama[1], 300, OPTIONS)
    ours = statistics_of(contenders, network, documents, False)
    plain = statistics_of(contenders, network, documents, True)
    assert set(ours) == set(plain) and ours["tokens"] == 300
    for name, values in ours.items():
        np.testing.assert_allclose(plain[name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("peer", ["nnsight", "transformerlens_headless"])
def test_a_peer_comes_to_the_same_statistics(llama, tmp_path, peer):
    """In a process of its own, as it runs: its packages do not belong beside the tests."""
    peers = ROOT / "benchmarks" / ".peers"
    if not (peers / "pins.txt").is_file():
        pytest.skip("make bench installs the peers")
    settings = {"model": str(llama[0]), "documents": [str(each) for each in llama[1]]}
    settings |= {"peers": str(peers), "options": OPTIONS}
    asked = {"ours": ("ours", False), "held": (peer, True), "streamed": (peer, False)}
    asks = [
        {"do": do, "tokens": 300, "keep": keep, "plain": False, "sums": str(tmp_path / f"{name}.npy")}
        for name, (do, keep) in asked.items()
    ]
    command = [sys.executable, "-m", "contenders.worker", json.dumps(settings)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'benchmarks'}"}
    pipes = {"input": "\n".join(map(json.dumps, asks)), "capture_output": True, "text": True, "timeout": 200}
    done = subprocess.run(command, env=environment, **pipes)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("tokens") for answer in answers] == [300] * 3, (answers, done.stderr[-2000:])
    sums = {name: np.load(tmp_path / f"{name}.npy") for name in asked}
    for name in ("held", "streamed"):
        np.testing.assert_allclose(sums[name], sums["ours"], rtol=1e-4)


def test_other_sums_are_noticed(contenders, monkeypatch):
    import probing

    ours = np.array([[1.0, 2.0, 0.0]])
    assert probing.difference(ours, ours) == 0
    assert (
        probing.difference(ours, ours * 1.002) > probing.TOLERANCE > probing.difference(ours, ours * 1.0005)
    )
    for wrong in (ours[:, :2], ours + [[0, 0, 1e-9]], ours * np.nan):
        assert probing.difference(ours, wrong) == np.inf
