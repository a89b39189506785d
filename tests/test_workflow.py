"""The whole study on two nano models, then edits: exactly the jobs that an edit concerns run again.

The study runs in a copy of the working tree, as in a clone, so that paths are what they are for a user.
"""

import csv
import os
import re
import shutil
from pathlib import Path

import pytest
import studies
import yaml

from implicit_sparsity.workflow import source

ROOT = Path(__file__).parent.parent
MODELS = ("nano_dense", "nano_moe")
STAGES = (1, 2)
DOMAINS = ("code", "math", "medical")
METHODS = ("activation_mask", "lora", "orthogonal")
RUNS = [("nano_moe", "lora"), *(("nano_dense", method) for method in METHODS)]
OVERVIEW = {"draw_figure overview"}  # of the tables of most probes, and of metrics
OF_DRIFT = {"probe_table representation_drift", "probe_table routing_drift", "draw_figure drift_by_layer"}
OF_DRIFT |= OVERVIEW
OF_TRAINING = {"forgetting_learning", "loss_curves", "method_comparison", "r_heatmaps", "overview"}
TABLES_OF_TRAINING = {"collect_scores", "collect_stages", "compare_methods", "continual_metrics"}


def snakemake(folder, *arguments, check=True):
    done = studies.snakemake(folder, "--configfile", "tests/nano.yaml", *arguments, timeout=1500)
    return studies.reported(done, check)


CONCLUSIONS = {"judge_claims", "write_latex", "write_chapter"}
MAKES = {
    "collect_documents": {"documents"},
    "collect_scores": {"scores"},
    "collect_stages": {"learning_curves", "stages"},
    "compare_methods": {"comparisons", "fronts"},
    "continual_metrics": {"metrics", "r_matrices"},
}
CLAIMED = set()  # tables that claims are judged by


def planned(folder, *arguments):
    """Jobs that would run, as `rule wildcard.wildcard`, of a measurement by its name; `all` is left out.

    Verdicts, LaTeX tables and the chapter follow from which tables and figures are made: checked here.
    """
    blocks = re.split(r"\n(?:local)?rule ", snakemake(folder, "-n", *arguments))[1:]
    result = set()
    for block in blocks:
        rule = block.split(":", 1)[0]
        wildcards = re.search(r"^ +wildcards: (.+)$", block, re.M)
        values = [pair.split("=", 1)[1] for pair in wildcards[1].split(", ")] if wildcards else []
        rule = values.pop(0) if rule in ("measure_domain", "measure_checkpoint") else rule
        result.add(" ".join([rule, ".".join(values)]).strip())
        if rule == "judge_claims" and not CLAIMED:
            CLAIMED.update(re.findall(r"results/tables/(\w+)\.csv", block.split("output:")[0]))
    jobs = (
        result - CONCLUSIONS - {"all", "preflight"}
    )  # a changed plan is checked again; nothing runs because of it
    if "--forceall" not in arguments:
        assert result & CONCLUSIONS == concluded(jobs)
    return jobs


def tables_of(jobs):
    """Tables that these jobs make."""
    made = {job.removeprefix("probe_table ") for job in jobs if job.startswith("probe_table ")}
    return made.union(*(MAKES.get(job, set()) for job in jobs))


def drawn(jobs):
    """These jobs, and the figures that say in their source that they read a table of theirs."""
    result = set(jobs)
    for name in yaml.safe_load((ROOT / "config.yaml").read_text())["figures"]:
        place = source.module_name("figures", name)
        read = [source.class_literal(place, kind, default=()) for kind in ("TABLES", "OPTIONAL")]
        if tables_of(jobs) & {table for tables in read for table in tables}:
            result.add(f"draw_figure {name}")
    return result


def concluded(jobs):
    """What is written because of these jobs."""
    made = tables_of(jobs)
    if made & CLAIMED:
        return CONCLUSIONS
    latex = {"write_latex"} if made & {"metrics", "r_matrices"} else set()
    return latex | ({"write_chapter"} if any(job.startswith("draw_figure ") for job in jobs) else set())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished nano study in a folder of its own."""
    folder = studies.copy_repository(tmp_path_factory.mktemp("study") / "repository")
    snakemake(folder, "-c2", "all")
    planned(folder, "--forceall")  # what claims are judged by
    return folder


@pytest.fixture
def edit(study):
    """Change files of the study; everything is put back afterwards, times included."""
    originals = {}

    def change(name, old, new):
        path = study / name
        originals.setdefault(path, (path.read_bytes(), path.stat()))
        text = path.read_text()
        assert old in text, f"{name} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    yield change
    for path, (content, status) in originals.items():
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def trained(*runs, stages=STAGES, models=MODELS):
    """Jobs that train and score these runs (method.order.seedN), and the tables and figures after them."""
    jobs = set(TABLES_OF_TRAINING)
    jobs |= {f"draw_figure {figure}" for figure in OF_TRAINING}
    for run in runs:
        method, order, seed = run.split(".")
        for model in models if method.startswith("lora") else ("nano_dense",):
            for stage in stages:
                jobs.add(f"train_adapter {model}.{method}.{order}.{seed[4:]}.{stage}")
                jobs.add(f"evaluate_checkpoint {model}.{run}.stage{stage}")
            jobs.add(f"plasticity_task {model}.{run}.stage{max(stages)}")
            jobs.add(f"drift {model}.{run}.stage{max(stages)}")
            jobs |= {f"functional_change {model}.{run}.stage{stage}" for stage in stages if stage > 1}
            if method.split("_learning_rate_")[0] == "lora":  # probes.relearning.methods, swept or not
                jobs |= {f"relearning {model}.{run}.stage{max(stages)}"} | tables_and_figures("recovery")
    jobs |= OF_DRIFT
    return jobs | tables_and_figures("plasticity", "write_interference", "protection")


def tables_and_figures(*probes):
    """Of probes that have a figure of their own name."""
    return {f"{rule} {probe}" for rule in ("probe_table", "draw_figure") for probe in probes}


def test_study_is_whole(study):
    for table in ("scores", "r_matrices", "metrics", "learning_curves", "stages", "comparisons", "fronts"):
        with open(study / f"results/tables/{table}.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["model"] for row in rows} == set(MODELS), table
        methods = {row.get("method", row.get("family")) for row in rows}
        assert {"lora", "activation_mask", "orthogonal"} <= methods, table
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


WORDS = [
    ("scripts/train_adapter.py", '"""', '"""New words. '),
    ("scripts/implicit_sparsity/methods/lora.py", "\n\n\n", "\n# a comment\n\n\n"),
    ("scripts/implicit_sparsity/probes/hubs.py", '"""', '"""New words. '),
    ("scripts/implicit_sparsity/figures/hubs.py", "\n\n\n", "\n\n\n\n\n"),
    ("scripts/implicit_sparsity/storage/store.py", "import json\n", "import json  # a comment\n"),
    ("scripts/implicit_sparsity/workflow/job.py", "import os\n", "import os  # a comment\n"),
    ("scripts/implicit_sparsity/figures/thesis.mplstyle", "# Printed", "# As printed"),
    ("rules/adapters.smk", "with one method", "by one method"),
    ("rules/probes.smk", "Token shards -> stores", "Shards of tokens -> stores"),
    ("slurm/profile.v9+.yaml", "jobs: 100", "jobs: 50"),
    ("config.yaml", "lora: {rank: 8}", "lora: {'rank': 8.0} # a comment"),
    ("config.yaml", "learning_rate: 1.0e-3", "learning_rate: 1e-3"),
    ("config.yaml", "learning_rate: 2.0e-3", "learning_rate: 3.0e-3"),  # of an optional part
    ("tests/nano.yaml", "{steps: 3, batch_size: 2,", "{batch_size: 2, steps: 3,"),
    ("tests/nano.yaml", "pretraining: *pretraining", "pretraining: {<<: *pretraining}"),
]


def test_words_and_form_rerun_nothing(study, edit):
    """All at once: nothing is nothing."""
    for change in WORDS:
        edit(*change)
    assert planned(study) == set()


def test_touched_code_reruns_nothing(study):
    """As after a fresh clone, where every file is younger than the results."""
    for path in [study / "Snakefile", *(study / "rules").rglob("*"), *(study / "scripts").rglob("*.py")]:
        path.touch()
    assert planned(study) == set()


def test_code_of_one_method(study, edit):
    edit("scripts/implicit_sparsity/methods/orthogonal.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == drawn(trained("orthogonal.forward.seed0"))


def test_code_that_one_script_imports(study, edit):
    edit("scripts/implicit_sparsity/metrics/continual.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == drawn({"continual_metrics", "draw_figure r_heatmaps"} | OVERVIEW)


def test_option_of_the_comparison(study, edit):
    edit("config.yaml", "draws: 1000", "draws: 500")
    figures = {f"draw_figure {figure}" for figure in ("forgetting_learning", "method_comparison")}
    assert planned(study) == drawn({"compare_methods"} | figures)


def test_option_of_one_method(study, edit):
    edit("config.yaml", "lora: {rank: 8}", "lora: {rank: 8, learning_rate: 3.0e-3}")
    assert planned(study) == drawn(trained("lora.forward.seed0"))


def test_option_of_one_figure(study, edit):
    edit("config.yaml", "r_heatmaps: {}", "r_heatmaps: {columns: 2}")
    assert planned(study) == drawn({"draw_figure r_heatmaps"})


def test_option_of_one_probe(study, edit):
    edit("tests/nano.yaml", "activation_overlap: {k: [0.1, 4]}", "activation_overlap: {k: [0.1, 5]}")
    assert planned(study) == drawn(
        {"probe_table activation_overlap", "draw_figure overlap_by_layer"} | OVERVIEW
    )


def test_option_of_the_hubs(study, edit):
    edit("tests/nano.yaml", "hubs: {k: [4]}", "hubs: {k: [5]}")
    assert planned(study) == drawn({"probe_table hubs", "draw_figure hubs"})


def test_one_control_less(study, edit):
    """No measurement is made again, neither of the pass nor of the other control."""
    edit("tests/nano.yaml", "controls: [bare, matched]", "controls: [matched]")
    assert planned(study) == drawn(
        {"probe_table activation_overlap", "draw_figure overlap_by_layer"} | OVERVIEW
    )


def test_option_of_the_gradient_probe(study, edit):
    edit("tests/nano.yaml", "gradient_overlap: {k: [2]", "gradient_overlap: {k: [3]")
    assert planned(study) == drawn(
        {"probe_table gradient_overlap", "draw_figure gradients_by_layer"} | OVERVIEW
    )


def test_option_of_the_routing_drift(study, edit):
    edit("tests/nano.yaml", "routing_drift: {}", "routing_drift: {level: 0.9}")
    assert planned(study) == drawn({"probe_table routing_drift"})


def test_budget_of_the_functional_change(study, edit):
    """Stages from the second on; what it says of them stands in stages.csv, and so beside comparisons."""
    edit("tests/nano.yaml", "functional_change: {documents: 4", "functional_change: {documents: 3")
    jobs = {f"functional_change {model}.{method}.forward.seed0.stage2" for model, method in RUNS}
    jobs |= tables_and_figures("protection") | {"collect_stages", "compare_methods"}
    assert planned(study) == drawn(jobs)


def test_budget_of_the_drift(study, edit):
    edit("tests/nano.yaml", "drift: {documents: 5", "drift: {documents: 6")
    jobs = {f"drift {model}.{method}.forward.seed0.stage2" for model, method in RUNS}
    assert planned(study) == drawn(jobs | OF_DRIFT)


def test_option_of_the_critical_sparsity(study, edit):
    edit("config.yaml", "tolerance: 0.01 #", "tolerance: 0.02 #")
    assert planned(study) == drawn(
        {"probe_table critical_sparsity", "draw_figure critical_sparsity"} | OVERVIEW
    )


def test_levels_of_the_thresholds(study, edit):
    edit("tests/nano.yaml", "levels: [0.5, 0.9]", "levels: [0.5, 0.8]")
    jobs = {f"thresholds {model}.base.{domain}" for model in MODELS for domain in DOMAINS}
    jobs |= {"probe_table critical_sparsity", "draw_figure critical_sparsity"}
    assert planned(study) == drawn(jobs | OVERVIEW)


@pytest.mark.parametrize(
    "probe, name, old, new",
    [
        (
            "write_interference",
            "tests/nano.yaml",
            "write_interference: {k: [4]",
            "write_interference: {k: [5]",
        ),
        ("plasticity", "config.yaml", "  plasticity: {}\n  rel", "  plasticity: {target: 0.4}\n  rel"),
        ("capacity", "config.yaml", "  capacity: {}\n  func", "  capacity: {scale: log}\n  func"),
    ],
)
def test_option_of_a_probe_with_a_figure_of_its_name(study, edit, probe, name, old, new):
    edit(name, old, new)
    assert planned(study) == drawn(tables_and_figures(probe))


def test_budget_of_the_plasticity_task(study, edit):
    edit("tests/nano.yaml", "steps: 3, rank: 2", "steps: 4, rank: 2")
    jobs = {f"plasticity_task {model}.{method}.forward.seed0.stage2" for model, method in RUNS}
    jobs |= {f"plasticity_task {model}.base" for model in MODELS}
    assert planned(study) == drawn(jobs | tables_and_figures("plasticity"))


def test_what_is_taught_again(study, edit):
    edit("tests/nano.yaml", "documents: [2, 4]", "documents: [2, 6]")
    jobs = {f"relearning {model}.{at}" for model in MODELS for at in ("base", "lora.forward.seed0.stage2")}
    assert planned(study) == drawn(jobs | tables_and_figures("recovery"))


def test_more_methods_to_teach_again(study, edit):
    """What was measured stays."""
    edit("tests/nano.yaml", "relearning: {methods: [lora]", "relearning: {methods: [lora, orthogonal]")
    jobs = {"relearning nano_dense.orthogonal.forward.seed0.stage2"} | tables_and_figures("recovery")
    assert planned(study) == drawn(jobs)


def test_budget_of_the_input_spectra(study, edit):
    edit("tests/nano.yaml", "input_spectra: {tokens: 128", "input_spectra: {tokens: 120")
    jobs = {f"input_spectra {model}.base" for model in MODELS}
    assert planned(study) == drawn(jobs | tables_and_figures("capacity"))


def test_budget_of_gradients(study, edit):
    edit("tests/nano.yaml", "gradients: {documents: 4", "gradients: {documents: 5")
    jobs = {f"gradients {m}.base.{d}" for m in MODELS for d in DOMAINS}
    jobs |= {"probe_table gradient_overlap", "draw_figure gradients_by_layer"}
    assert planned(study) == drawn(jobs | OVERVIEW)


def test_later_checkpoints_to_measure(study, edit):
    """Which checkpoints are measured says nothing about the one already measured."""
    edit("config.yaml", "stages: base", "stages: final")
    jobs = {
        f"activations {model}.{method}.forward.seed0.stage2.{domain}"
        for model, method in RUNS
        for domain in DOMAINS
    }
    jobs |= {f"probe_table {name}" for name in ("activation_overlap", "activation_sparsity", "hubs")}
    jobs |= {f"draw_figure {name}" for name in ("overlap_by_layer", "sparsity_by_layer", "hubs")}
    assert planned(study) == drawn(jobs | OVERVIEW)


def test_new_seed(study, edit):
    edit("config.yaml", "seeds: [0]", "seeds: [0, 1]")
    assert planned(study) == drawn(trained(*(f"{m}.forward.seed1" for m in METHODS)))


def test_new_variant_of_a_method(study, edit):
    edit("config.yaml", "  lora: {rank: 8}", "  lora: {rank: 8}\n  lora_small: {uses: lora, rank: 4}")
    assert planned(study) == drawn(trained("lora_small.forward.seed0"))


def test_domain_appended_to_an_order(study, edit):
    edit("tests/nano.yaml", "[code, math]", "[code, math, medical]")
    runs = [f"{method}.forward.seed0" for method in METHODS]
    jobs = {f"{name} {model}.base" for name in ("input_spectra", "relearning") for model in MODELS}
    jobs |= tables_and_figures("capacity")
    assert planned(study) == drawn(trained(*runs, stages=(3,)) | jobs)


def test_model_that_is_no_longer_trained(study, edit):
    """Its base is neither made nor measured nor scored again."""
    edit("tests/nano.yaml", "  nano_moe:\n", "  nano_moe:\n    trained: false\n")
    tables = set(TABLES_OF_TRAINING)
    tables |= tables_and_figures("plasticity", "write_interference", "recovery", "protection")
    assert planned(study) == drawn(tables | OF_DRIFT | {f"draw_figure {figure}" for figure in OF_TRAINING})


def test_deleted_figure(study, tmp_path):
    figure = study / "results/figures/r_heatmaps.png"
    figure.rename(tmp_path / "kept")
    try:
        assert planned(study) == drawn({"draw_figure r_heatmaps"})
    finally:
        (tmp_path / "kept").rename(figure)


def test_moved_study(study, tmp_path):
    shutil.copytree(
        study, tmp_path / "elsewhere", symlinks=True, ignore=shutil.ignore_patterns("log", "locks")
    )
    assert planned(tmp_path / "elsewhere") == set()


IN_COMMON = (
    "probe_table",
    "draw_figure",
    "collect_documents",
    *TABLES_OF_TRAINING,
)  # rules whose jobs read all models


@pytest.fixture(scope="module")
def everything(study):
    """All jobs of the study."""
    return planned(study, "--forceall")


def of(everything, *rules):
    return {job for job in everything if job.split()[0] in rules}


def metadata(everything, model):
    """Jobs of one model, and those that read all models."""
    return {job for job in everything if model in job} | of(everything, *IN_COMMON)


def test_colours_of_the_figures(study, edit, everything):
    edit("scripts/implicit_sparsity/figures/base.py", 'color="#555555"', 'color="#444444"')
    assert planned(study) == drawn(of(everything, "draw_figure"))


def test_style_of_the_figures(study, edit, everything):
    edit("scripts/implicit_sparsity/figures/thesis.mplstyle", "grid.color: 0.88", "grid.color: 0.8")
    assert planned(study) == drawn(of(everything, "draw_figure"))


def test_code_of_one_figure(study, edit):
    edit("scripts/implicit_sparsity/figures/hubs.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == drawn({"draw_figure hubs"})


def test_code_of_one_probe(study, edit):
    edit("scripts/implicit_sparsity/probes/hubs.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == drawn(tables_and_figures("hubs"))


def test_code_that_every_job_imports(study, edit, everything):
    edit("scripts/implicit_sparsity/storage/files.py", "\n\n\n", "\n\nADDED = 1\n\n\n")
    assert planned(study) == everything


def test_data_of_one_domain(study, edit, everything):
    """Models from scratch read all domains: the sources of the others alone stay, and the splits of domains
    that the config names before, as a later one drops what an earlier has."""
    edit("tests/nano.yaml", "champ: {limit: 30}", "champ: {limit: 31}")
    stay = {job for job in of(everything, "collect_source") if job != "collect_source math.champ"}
    stay |= {"split_domain code"}
    assert stay < everything and planned(study) == drawn(everything - stay)


def test_prompt_template(study, edit, everything):
    """Documents are as they were; models from scratch are trained in the template."""
    edit("config.yaml", 'before: "<|im_start|>user\\n"', 'before: "<|im_start|>human\\n"')
    assert planned(study) == drawn(everything - of(everything, "collect_source", "split_domain"))


def test_what_one_model_is(study, edit, everything):
    """Its seed; of a model from a hub, its revision."""
    edit("tests/nano.yaml", "    seed: 0\n", "    seed: 1\n")
    assert planned(study) == drawn(metadata(everything, "nano_dense"))


def test_new_model(study, edit, everything):
    edit("tests/nano.yaml", "  nano_moe:\n", "  nano_moe: &moe\n")
    edit("tests/nano.yaml", "\ndomains:\n", "\n  nano_third: {<<: *moe}\n\ndomains:\n")
    new = {job.replace("nano_moe", "nano_third") for job in everything if "nano_moe" in job}
    assert planned(study) == drawn(new | of(everything, *IN_COMMON))


def test_sweep_of_a_method(study, edit):
    edit("config.yaml", "lora: {rank: 8}", "lora: {rank: 8, sweep: {learning_rate: [3.0e-4, 3.0e-3]}}")
    runs = [f"lora_learning_rate_{value}.forward.seed0" for value in ("0p0003", "0p003")]
    assert planned(study) == drawn(trained(*runs))


def test_controls_of_the_methods(study, edit):
    edit("config.yaml", "controls: false", "controls: true")
    masks = [f"activation_mask_{name}" for name in ("random", "least_active", "hubs", "largest_weight")]
    assert planned(study) == drawn(
        trained(*(f"{name}.forward.seed0" for name in (*masks, "orthogonal_random")))
    )


def test_budget_of_training(study, edit):
    edit("tests/nano.yaml", "training: {steps: 3", "training: {steps: 4")
    assert planned(study) == drawn(trained(*(f"{method}.forward.seed0" for method in METHODS)))


def test_budget_of_the_evaluations(study, edit, everything):
    edit("tests/nano.yaml", "evals: {documents: 4", "evals: {documents: 5")
    tables = {"collect_scores", "compare_methods", "continual_metrics"}
    figures = {f"draw_figure {name}" for name in OF_TRAINING - {"loss_curves"}}
    assert planned(study) == drawn(of(everything, "evaluate_checkpoint") | tables | figures)


def test_threshold_of_the_activations(study, edit, everything):
    edit("config.yaml", "thresholds: [0.01, 0.1] # a neuron", "thresholds: [0.02, 0.1] # a neuron")
    jobs = of(everything, "activations", "measure_control", "thresholds")
    probes = ("activation_overlap", "activation_sparsity", "hubs", "write_interference", "critical_sparsity")
    assert planned(study) == drawn(jobs | {f"probe_table {name}" for name in probes})


@pytest.fixture
def lose(study, tmp_path):
    """Take artifacts of the study away; they are put back afterwards."""
    lost = []

    def take(name):
        lost.append((study / "results" / name, tmp_path / f"lost{len(lost)}"))
        lost[-1][0].rename(lost[-1][1])

    yield take
    for place, aside in lost:
        aside.rename(place)


def test_deleted_stage(study, lose):
    """Not missed while nothing is made from it; once it is needed, so is what was trained on top of it."""
    lose("adapters/nano_dense/lora.forward.seed0.stage1")
    assert planned(study) == set()
    lose("evals/nano_dense/lora.forward.seed0.stage1/code.json")
    lose("tables/scores.csv")
    assert planned(study) == drawn(trained("lora.forward.seed0", models=("nano_dense",)))


def test_deleted_store(study, lose, everything):
    """Once it is needed. Thresholds of a model are calibrated on the stores of all domains."""
    lose("activations/nano_moe/base/math.zarr")
    lose("tables/hubs.csv")
    jobs = {job for job in of(everything, "thresholds") if "nano_moe" in job}
    jobs |= {f"probe_table {name}" for name in ("activation_overlap", "activation_sparsity", "hubs")}
    jobs |= {f"draw_figure {name}" for name in ("overlap_by_layer", "sparsity_by_layer", "hubs")}
    jobs |= tables_and_figures("write_interference", "critical_sparsity") | OVERVIEW
    assert planned(study) == drawn(jobs | {"activations nano_moe.base.math"})


def test_fresh_clone_with_restored_results(study, tmp_path):
    """Code and config are younger than every result; results and .snakemake come back as they were."""
    clone = tmp_path / "clone"
    shutil.copytree(study, clone, ignore=shutil.ignore_patterns("results", ".snakemake"))
    for path in clone.rglob("*"):
        path.touch()
    for name in ("results", ".snakemake"):
        ignored = shutil.ignore_patterns("log", "locks", "slurm_logs")
        shutil.copytree(study / name, clone / name, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    assert planned(clone) == set()
