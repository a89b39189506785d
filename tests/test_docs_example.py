"""Worked examples of docs/methods.md (a method) and docs/adding.md (a measurement), put where the text says.

Also numbers and tables of docs/methods.md.

Commands of all pages: test_docs.py.
"""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import studies
import texts
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
SMOLLM2 = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
RETAINED = ("__init__", "base", "lora")  # of the other methods; lora is what some tests compare with


def example() -> tuple[str, str]:
    """(path in the repository, source) of the example."""
    path = re.search(r"`(scripts/implicit_sparsity/methods/\w+\.py)`, whole:", TEXT).group(1)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) == 1
    return path, blocks[0]


def test_the_example_is_a_method_with_all_that_comes_with_one(tmp_path):
    path, source = example()
    assert len(source.splitlines()) < 35
    studies.copy_repository(tmp_path)
    for other in (tmp_path / path).parent.glob("*.py"):
        if other.stem not in RETAINED:
            other.unlink()
    (tmp_path / path).write_text(source, encoding="utf-8")
    name = Path(path).stem
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "tests/test_methods.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=studies.environment(), capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.findall(rf"^PASSED .*::(\w+)\[(?:dense|mixture)-{name}\]$", done.stdout, re.M)
    assert {passed.count(test) for test in passed} == {2}, "on both networks"
    assert {"test_killed_stage_resumes_to_the_same_bytes", "test_adapter_changes_the_model"} <= set(passed)
    assert "PASSED tests/test_methods.py::test_adapters_load_with_peft_alone" in done.stdout


def test_a_config_entry_is_all_that_the_workflow_asks_for(tmp_path):
    path, source = example()
    name = Path(path).stem
    studies.trimmed_study(tmp_path, methods={name: {"weight": 0.5}})
    (tmp_path / path).write_text(source, encoding="utf-8")
    reported = studies.run(tmp_path, "-n", f"results/adapters/nano_dense/{name}.forward.seed0.stage2")
    assert re.search(r"^train_adapter +2$", reported, re.M)
    overlay = (tmp_path / "trimmed.yaml").read_text()
    (tmp_path / "trimmed.yaml").write_text(overlay.replace("weight: 0.5", "weihgt: 0.5"))
    reported = studies.run(tmp_path, "-n", check=False)
    assert f"methods.{name}.weihgt" in reported and "did you mean weight?" in reported


def test_a_measurement_is_a_file_and_an_entry(tmp_path):
    """With its probe, their test, a real run's table, its rows in the plan, and a wrong option refused."""
    files = texts.files(texts.section((ROOT / "docs/adding.md").read_text("utf-8"), "A measurement"))
    measurement, probe, test, config = files
    assert sum(len(files[name].splitlines()) for name in (measurement, probe)) < 85
    studies.trimmed_study(tmp_path)
    for path, content in files.items():
        (tmp_path / path).write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(
        command, cwd=tmp_path, env=studies.environment(), capture_output=True, text=True, timeout=500
    )
    assert "1 passed" in studies.reported(done)
    files = ("--configfile", *studies.CONFIGS, config)
    table = "results/tables/norm_growth.csv"
    reported = studies.reported(studies.snakemake(tmp_path, "-c1", table, *files))
    jobs = studies.finished_jobs(reported)
    assert jobs.count("measure_domain") == 2 and jobs[-1] == "probe_table"
    with open(tmp_path / table, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 4 and {row["domain"] for row in rows} == {"code", "math"}
    assert {float(row["value"]) for row in rows if row["layer"] == "0"} == {1.0}
    assert all(
        0.9 < float(row["value"]) < 10 and float(row["value"]) != 1 for row in rows if row["layer"] == "3"
    )
    plan = json.loads((tmp_path / "results/plan/nano_dense.json").read_text())
    planned = plan["rules"]["hidden_norms"]
    assert (planned["jobs"], planned["tokens"]) == (2, 2 * 2 * 256) and "hidden_norms" in plan["memory"]
    wrong = ("--config", "probes={hidden_norms: {tokns: 3}}")
    reported = studies.reported(studies.snakemake(tmp_path, "-n", table, *files, *wrong), check=False)
    assert "probes.hidden_norms.tokns" in reported and "did you mean tokens?" in reported


def test_numbers_of_equal_terms_are_those_of_the_shape():
    """As ``planning`` counts them; OSF it takes for all weights, and a frozen A it does not know."""
    from implicit_sparsity.planning import shapes, trained

    shape = shapes.of_config(SMOLLM2)
    rows = re.findall(r"^\| `(\w+): (\{.*?\})`.*? \| ([\d,]+) \| ([\d.]+) \|$", TEXT, re.M)
    lora = trained.of_method(shape, "lora", {}).parameters
    result = []
    for method, options, count, ratio in rows:
        count = int(count.replace(",", ""))
        assert float(ratio) == round(count / lora, 2), method
        if method != "osf" and "frozen" not in options:
            assert trained.of_method(shape, method, yaml.safe_load(options)).parameters == count, method
            result.append(method)
    assert len(rows) == 10 and {"lora", "activation_mask", "structured_sparsity", "full"} <= set(result)


def test_every_method_is_told_of():
    """In the table of what reproduces and in that of states; a new file has to be written about."""
    room = ROOT / "scripts/implicit_sparsity/methods"
    names = {path.stem for path in room.glob("*.py")} - {"__init__", "base"}
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
    for section in ("Which to take", "What reproduces", "State"):
        rows = "".join(re.findall(r"^\| ([^|]*) \|", sections[section], re.M))
        assert {name for name in names if f"`{name}`" not in rows} == set(), section
