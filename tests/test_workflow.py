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
OF_DRIFT = {"probe_table representation_drift", "probe_table routing_drift", "draw_figure drift_by_layer"}
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
    return found - {"all", "preflight"}  # a changed plan is checked again; nothing runs because of it


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
            jobs.add(f"measure_plasticity {model}.{run}.stage{max(stages)}")
            jobs.add(f"measure_drift {model}.{run}.stage{max(stages)}")
    jobs |= OF_DRIFT
    return jobs | tables_and_figures("plasticity", "write_interference")


def tables_and_figures(*probes):
    """Of probes that have a figure of their own name."""
    return {f"{rule} {probe}" for rule in ("probe_table", "draw_figure") for probe in probes}


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
        ("config.yaml", "learning_rate: 2.0e-3", "learning_rate: 3.0e-3"),  # of an optional part
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


def test_option_of_the_hubs(study, edit):
    edit("tests/nano.yaml", "hubs: {k: [4]}", "hubs: {k: [5]}")
    assert planned(study) == {"probe_table hubs", "draw_figure hubs"}


def test_one_control_less(study, edit):
    """No measurement is made again, neither of the pass nor of the other control."""
    edit("config.yaml", "controls: [bare, matched]", "controls: [matched]")
    assert planned(study) == {"probe_table activation_overlap", "draw_figure overlap_by_layer"}


def test_option_of_the_gradient_probe(study, edit):
    edit("tests/nano.yaml", "gradient_overlap: {k: [2]", "gradient_overlap: {k: [3]")
    assert planned(study) == {"probe_table gradient_overlap", "draw_figure gradients_by_layer"}


def test_option_of_the_routing_drift(study, edit):
    edit("tests/nano.yaml", "routing_drift: {}", "routing_drift: {level: 0.9}")
    assert planned(study) == {"probe_table routing_drift"}


def test_budget_of_the_drift(study, edit):
    edit("tests/nano.yaml", "drift: {documents: 5", "drift: {documents: 6")
    runs = [f"{method}.forward.seed0" for method in ("activation_mask", "lora", "orthogonal")]
    jobs = {f"measure_drift {model}.{run}.stage3" for model in MODELS for run in runs}
    assert planned(study) == jobs | OF_DRIFT


def test_option_of_the_critical_sparsity(study, edit):
    edit("config.yaml", "tolerance: 0.01 #", "tolerance: 0.02 #")
    assert planned(study) == {"probe_table critical_sparsity", "draw_figure critical_sparsity"}


def test_levels_of_the_thresholds(study, edit):
    edit("tests/nano.yaml", "levels: [0.5, 0.9]", "levels: [0.5, 0.8]")
    domains = ("code", "general", "math", "medical")
    jobs = {f"measure_thresholds {model}.base.{domain}" for model in MODELS for domain in domains}
    assert planned(study) == jobs | {"probe_table critical_sparsity", "draw_figure critical_sparsity"}


@pytest.mark.parametrize(
    "probe, name, old, new",
    [
        (
            "write_interference",
            "tests/nano.yaml",
            "write_interference: {k: [4]",
            "write_interference: {k: [5]",
        ),
        ("plasticity", "config.yaml", "  plasticity: {}\n  input", "  plasticity: {target: 0.4}\n  input"),
        ("capacity", "config.yaml", "  capacity: {}\n  crit", "  capacity: {scale: log}\n  crit"),
    ],
)
def test_option_of_a_probe_with_a_figure_of_its_name(study, edit, probe, name, old, new):
    edit(name, old, new)
    assert planned(study) == tables_and_figures(probe)


def test_budget_of_the_held_out_task(study, edit):
    edit("tests/nano.yaml", "steps: 3, rank: 2", "steps: 4, rank: 2")
    runs = [f"{m}.forward.seed0.stage3" for m in ("activation_mask", "lora", "orthogonal")]
    jobs = {f"measure_plasticity {model}.{name}" for model in MODELS for name in ("base", *runs)}
    assert planned(study) == jobs | tables_and_figures("plasticity")


def test_budget_of_the_input_spectra(study, edit):
    edit("tests/nano.yaml", "input_spectra: {tokens: 128", "input_spectra: {tokens: 120")
    jobs = {f"measure_capacity {model}" for model in MODELS}
    assert planned(study) == jobs | tables_and_figures("capacity")


def test_budget_of_gradients(study, edit):
    edit("tests/nano.yaml", "gradients: {documents: 4", "gradients: {documents: 5")
    jobs = {f"measure_gradients {m}.base.{d}" for m in MODELS for d in ("code", "general", "math", "medical")}
    assert planned(study) == jobs | {"probe_table gradient_overlap", "draw_figure gradients_by_layer"}


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
    jobs |= {f"probe_table {name}" for name in ("activation_overlap", "activation_sparsity", "hubs")}
    jobs |= {f"draw_figure {name}" for name in ("overlap_by_layer", "sparsity_by_layer", "hubs")}
    assert planned(study) == jobs


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
    jobs = {f"measure_capacity {model}" for model in MODELS} | tables_and_figures("capacity")
    assert planned(study) == trained(*runs, stages=(4,)) | jobs


def test_model_that_is_no_longer_trained(study, edit):
    """Its base is neither made nor measured nor scored again."""
    edit("tests/nano.yaml", "  nano_moe:\n", "  nano_moe:\n    trained: false\n")
    tables = {"collect_scores", "collect_stages", "continual_metrics"}
    tables |= tables_and_figures("plasticity", "write_interference")
    assert planned(study) == tables | OF_DRIFT | {f"draw_figure {figure}" for figure in OF_TRAINING}


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
