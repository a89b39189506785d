"""The preflight and the estimate as users run them, on a small study that has run to its end."""

import json
import re
import shutil
from pathlib import Path

import pytest
import studies
from test_shapes import QWEN_27B

from implicit_sparsity.planning import jobs
from implicit_sparsity.provenance import planned_jobs

ROOT = Path(__file__).parents[2]
SMALL = """
models: {nano_moe: false}
domains: {math: false, medical: false, general: false}
orders: {forward: [code]}
methods: {activation_mask: false, orthogonal: false}
evals: {generate: []}
probes: {drift: false, representation_drift: false, routing_drift: false,
  activation_overlap: false, thresholds: false, critical_sparsity: false,
  gradients: false, gradient_overlap: false, plasticity_task: false, plasticity: false, hubs: false,
  input_spectra: false, capacity: false, write_interference: false, relearning: false, recovery: false}
figures: {drift_by_layer: false, critical_sparsity: false, overlap_by_layer: false,
  sparsity_by_layer: false, gradients_by_layer: false, r_heatmaps: false,
  forgetting_learning: false, loss_curves: false, overview: false, hubs: false, plasticity: false,
  capacity: false, write_interference: false, recovery: false}
optional: {ladder: false}
"""
HARDWARE = "hardware: {card: a100_80gb, cards: 4, price_per_hour: 2.5, currency: USD}\n"


def snakemake(folder, *arguments, check=True):
    configs = [] if "--configfile" in arguments else ["--configfile", "tests/nano.yaml", "small.yaml"]
    done = studies.snakemake(folder, *arguments, *configs)
    assert done.returncode == 0 or not check, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned") / "repository"
    folders = ("rules", "scripts", "envs", "slurm")
    for name in ("Snakefile", "config.yaml", "tests/nano.yaml", *folders):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / "small.yaml").write_text(SMALL)
    snakemake(folder, "-c2", "all")
    return folder


@pytest.fixture
def overlay(study):
    """Put more into the study's overlay, for one test."""

    def write(text):
        (study / "small.yaml").write_text(SMALL + text)

    yield write
    (study / "small.yaml").write_text(SMALL)


def asked(study, *arguments):
    files = ("tests/nano.yaml", "small.yaml")
    return jobs.linked(planned_jobs.ask("all", *arguments, "--configfile", *files, folder=study))


def planned(study):
    return {job.kind for job in asked(study)}


def test_every_model_has_a_plan(study):
    plan = json.loads((study / "results/plan/nano_dense.json").read_text())
    assert set(plan["rules"]) == {"train_adapter", "activations", "evaluate_checkpoint"}
    assert plan["hours"] == 0, "without hardware hours are not told"
    assert "nano_dense" in (study / "results/plan/plan.md").read_text()
    assert plan["parameters"]["total"] == json.loads(
        (study / "results/models/nano_dense/manifest.json").read_text()
    ).get("parameters", plan["parameters"]["total"])


def test_cards_and_prices_rerun_the_preflight_alone(study, overlay):
    assert planned(study) == set()
    overlay(HARDWARE)
    assert planned(study) == {"preflight"}
    snakemake(study, "-c2", "all")
    assert planned(study) == set(), "the preflight ran, and nothing after it"
    plan = json.loads((study / "results/plan/nano_dense.json").read_text())
    assert plan["hours"] > 0 and plan["cost"] == pytest.approx(2.5 * plan["hours"])
    overlay(HARDWARE.replace("2.5", "3.5"))
    assert planned(study) == {"preflight"}
    (study / "results/plan/nano_dense.json").touch()
    overlay(HARDWARE)
    assert planned(study) == set(), "a newer plan is no reason to train again"


def test_other_changes_are_not_forgotten_beside_a_new_price(study, overlay):
    """Behind ancient() Snakemake itself would not look for them (rules/patches.smk says why)."""
    overlay(HARDWARE.replace("2.5", "9") + "seeds: [0, 1]\n")
    assert {"preflight", "train_adapter", "evaluate_checkpoint", "collect_scores"} <= planned(study)
    assert "activations" not in planned(study)
    overlay(HARDWARE.replace("2.5", "9") + "training: {steps: 4}\n")
    assert {"preflight", "train_adapter"} <= planned(study)
    assert not {"activations", "prepare_model", "collect_source"} & planned(study)


def test_gpu_jobs_wait_for_the_preflight(study):
    result = asked(study, "--forceall")
    first = next(job.number for job in result if job.rule == "preflight")
    waiting = {job.kind for job in result if first in job.after}
    assert waiting == {"train_adapter", "activations", "evaluate_checkpoint"}
    alike = {kind: sum(job.kind == kind for job in result) for kind in waiting}
    plan = json.loads((study / "results/plan/nano_dense.json").read_text())
    assert alike == {rule: row["jobs"] for rule, row in plan["rules"].items()}


def test_a_plan_that_cannot_fit_is_refused_before_anything_runs(study, tmp_path):
    """A 27B in bfloat16 on one GPU of 40 GB, told from its configuration alone: there are no weights."""
    big = study / "big"
    big.mkdir(exist_ok=True)
    (big / "config.json").write_text(json.dumps(QWEN_27B))
    model = "{source: path, path: big, layers: 64, width: 17408, precision: bf16}"
    text = (
        SMALL
        + f"hardware: {{card: a100_40gb}}\nmodels: {{nano_dense: false, nano_moe: false, big: {model}}}\n"
    )
    (study / "big.yaml").write_text(text.replace("models: {nano_moe: false}\n", ""))
    done = snakemake(study, "-c1", "preflight", "--configfile", "tests/nano.yaml", "big.yaml", check=False)
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: preflight"))
    assert done.returncode != 0
    assert "models.big: activations needs" in line and "one a100_40gb has 42.3" in line
    assert "models.big.quantization: nf4" in line
    assert "26.9 G parameters" in done.stdout, "the plan is printed all the same"
    assert not (study / "results/plan/big.json").exists()


def table(text, head):
    """Rows of the Markdown table whose first column is ``head``, as {first cell: cells}."""
    rows = text.split(f"| {head}", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0]: row[1:] for row in cells}


def test_estimate_of_a_finished_study(study, overlay):
    overlay(HARDWARE)
    snakemake(study, "-c2", "all")
    done = snakemake(study, "-c1", "estimate")
    rows = table(done.stdout, "rule")
    assert "Still to do: nothing." in done.stdout
    seconds, n = re.fullmatch(r"(\d+) \(n=(\d+)\)", rows["train_adapter"][6]).groups()
    assert n == "1" and float(seconds) > 0 and float(rows["train_adapter"][7]) > 0.1
    clock = table(done.stdout, "cards")
    assert list(clock) == ["1", "2", "4", "8"]
    assert float(clock["1"][0]) >= float(clock["8"][0]) > 0 and clock["4"][1] == "0.00"
    assert set(table(done.stdout, "What doubles")) == {"tokens", "layers", "width", "domains", "methods"}
    assert "estimate" in snakemake(study, "-n", "estimate").stdout, "it is never found done"


def test_estimate_follows_the_command_line(study):
    """--config reaches the graph: another seed is one more run, and all of it is still to do."""
    done = snakemake(study, "-c1", "estimate", "--config", "seeds=[0,1]")
    rows = table(done.stdout, "rule")
    assert (rows["train_adapter"][0], rows["evaluate_checkpoint"][0]) == ("2", "3")
    assert "1 train_adapter" in done.stdout.split("Still to do:")[1].splitlines()[0]
