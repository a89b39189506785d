"""The whole study on two nano models, then edits: exactly the jobs that an edit concerns run again.

The study runs in a copy of the working tree, as in a clone, so that paths are what they are for a user.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
MODELS = ("nano_dense", "nano_moe")
STAGES = (1, 2, 3)
OF_TRAINING = {"forgetting_learning", "loss_curves", "r_heatmaps"}


def snakemake(folder, *arguments, check=True):
    command = [sys.executable, "-m", "snakemake", "--configfile", "tests/nano.yaml", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 or not check, done.stderr[-3000:]
    return done.stdout + done.stderr


def planned(folder):
    """Jobs that would run, as `rule wildcard.wildcard`; `all` makes nothing and is left out."""
    blocks = re.split(r"\n(?:local)?rule ", snakemake(folder, "-n"))[1:]
    found = set()
    for block in blocks:
        rule = block.split(":", 1)[0]
        wildcards = re.search(r"^ +wildcards: (.+)$", block, re.M)
        values = [pair.split("=", 1)[1] for pair in wildcards[1].split(", ")] if wildcards else []
        found.add(" ".join([rule, ".".join(values)]).strip())
    return found - {"all"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished nano study in a folder of its own."""
    folder = tmp_path_factory.mktemp("study") / "repository"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    snakemake(folder, "-c2", "all")
    return folder


@pytest.fixture
def edit(study):
    """Change files of the study; everything is put back afterwards, times included."""
    kept = {}

    def change(name, old, new):
        path = study / name
        kept.setdefault(path, (path.read_bytes(), path.stat()))
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    yield change
    for path, (content, status) in kept.items():
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def trained(*runs, stages=STAGES, models=MODELS):
    """Jobs that train and score these runs (method.order.seedN), and the tables and figures after them."""
    jobs = {"collect_scores", "collect_stages", "continual_metrics"}
    jobs |= {f"draw_figure {figure}" for figure in OF_TRAINING}
    for model in models:
        for run in runs:
            method, order, seed = run.split(".")
            for stage in stages:
                jobs.add(f"train_adapter {model}.{method}.{order}.{seed[4:]}.{stage}")
                jobs.add(f"evaluate_checkpoint {model}.{run}.stage{stage}")
    return jobs


def test_study_is_whole(study):
    for table in ("scores", "r_matrices", "metrics", "learning_curves", "stages"):
        with open(study / f"results/tables/{table}.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["model"] for row in rows} == set(MODELS), table
        assert {"lora", "activation_mask", "orthogonal"} <= {row["method"] for row in rows}, table
    for figure in yaml.safe_load((study / "config.yaml").read_text())["figures"]:
        for ending in ("pdf", "png", "csv"):
            assert (study / f"results/figures/{figure}.{ending}").stat().st_size > 0
    leftovers = [
        p for p in (study / "results").rglob(".partial-*") if not p.is_relative_to(study / "results/logs")
    ]
    assert leftovers == []


def test_second_run_has_nothing_to_do(study):
    assert "Nothing to be done" in snakemake(study, "-c2", "all")


def test_report_has_every_figure(study, tmp_path):
    snakemake(study, "--report", str(tmp_path / "report.html"))
    report = (tmp_path / "report.html").read_text()
    assert all(figure in report for figure in [*OF_TRAINING, "overlap_by_layer", "sparsity_by_layer"])


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("scripts/train_adapter.py", '"""', '"""New words. '),
        ("scripts/implicit_sparsity/methods/lora.py", "\n\n\n", "\n# a comment\n\n\n"),
        ("scripts/implicit_sparsity/job.py", "import os\n", "import os  # a comment\n"),
        ("rules/adapters.smk", "with one method", "by one method"),
        ("config.yaml", "lora: {rank: 8}", "lora: {'rank': 8.0} # a comment"),
        ("config.yaml", "learning_rate: 1.0e-3", "learning_rate: 1e-3"),
        ("tests/nano.yaml", "{steps: 3, batch_size: 2,", "{batch_size: 2, steps: 3,"),
    ],
)
def test_words_and_form_rerun_nothing(study, edit, name, old, new):
    edit(name, old, new)
    assert planned(study) == set()


def test_touched_code_reruns_nothing(study):
    """As after a fresh clone, where every file is younger than the results."""
    for path in [study / "Snakefile", *(study / "rules").rglob("*"), *(study / "scripts").rglob("*.py")]:
        path.touch()
    assert planned(study) == set()


def test_code_of_one_method(study, edit):
    edit("scripts/implicit_sparsity/methods/orthogonal.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == trained("orthogonal.forward.seed0")


def test_code_that_one_script_imports(study, edit):
    edit("scripts/implicit_sparsity/continual.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    figures = {f"draw_figure {figure}" for figure in ("forgetting_learning", "r_heatmaps")}
    assert planned(study) == {"continual_metrics"} | figures


def test_option_of_one_method(study, edit):
    edit("config.yaml", "lora: {rank: 8}", "lora: {rank: 8, learning_rate: 3.0e-3}")
    assert planned(study) == trained("lora.forward.seed0")


def test_option_of_one_figure(study, edit):
    edit("config.yaml", "r_heatmaps: {}", "r_heatmaps: {columns: 2}")
    assert planned(study) == {"draw_figure r_heatmaps"}


def test_option_of_one_probe(study, edit):
    edit("tests/nano.yaml", "activation_overlap: {k: [0.1, 4]}", "activation_overlap: {k: [0.1, 5]}")
    assert planned(study) == {"probe_table activation_overlap", "draw_figure overlap_by_layer"}


def test_later_checkpoints_to_measure(study, edit):
    """Which checkpoints are measured says nothing about the one already measured."""
    edit("config.yaml", "stages: base", "stages: final")
    methods = ("activation_mask", "lora", "orthogonal")
    jobs = {
        f"measure_activations {model}.{method}.forward.seed0.stage3.{domain}"
        for model in MODELS
        for method in methods
        for domain in ("code", "general", "math", "medical")
    }
    jobs |= {"probe_table activation_overlap", "probe_table activation_sparsity"}
    assert planned(study) == jobs | {"draw_figure overlap_by_layer", "draw_figure sparsity_by_layer"}


def test_new_seed(study, edit):
    edit("config.yaml", "seeds: [0]", "seeds: [0, 1]")
    assert planned(study) == trained(
        *(f"{m}.forward.seed1" for m in ("activation_mask", "lora", "orthogonal"))
    )


def test_new_variant_of_a_method(study, edit):
    edit("config.yaml", "  lora: {rank: 8}", "  lora: {rank: 8}\n  lora_small: {uses: lora, rank: 4}")
    assert planned(study) == trained("lora_small.forward.seed0")


def test_domain_appended_to_an_order(study, edit):
    edit("tests/nano.yaml", "[code, math, general]", "[code, math, general, medical]")
    runs = [f"{method}.forward.seed0" for method in ("activation_mask", "lora", "orthogonal")]
    assert planned(study) == trained(*runs, stages=(4,))


def test_deleted_figure(study, tmp_path):
    figure = study / "results/figures/r_heatmaps.png"
    figure.rename(tmp_path / "kept")
    try:
        assert planned(study) == {"draw_figure r_heatmaps"}
    finally:
        (tmp_path / "kept").rename(figure)


def test_moved_study(study, tmp_path):
    shutil.copytree(
        study, tmp_path / "elsewhere", symlinks=True, ignore=shutil.ignore_patterns("log", "locks")
    )
    assert planned(tmp_path / "elsewhere") == set()
