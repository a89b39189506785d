"""Config files through `snakemake -n`: a wrong one ends in its line, a right one makes its jobs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import refusals
import studies
import yaml
from test_wrong_config import WRONG

ROOT = Path(__file__).parents[2]
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]
OWN = ("Config file config.yaml is ",)  # Snakemake's own line, of --configfile
# of each kind of check one: by a model, by a module's source, between entries, of optional parts
THROUGH = (
    "mehtods: {}",
    "methods: {lora: {rnak: 8}}",
    "orders: {forward: [code, maths]}",
    "with: laddr",
)


def dry_run(*arguments, config=None, overlay=None):
    """`snakemake -n` in a folder with nothing but its config."""
    with TemporaryDirectory() as folder:
        shutil.copy(ROOT / "config.yaml", folder)
        if config is not None:
            Path(folder, "config.yaml").write_bytes(config)
        if overlay is not None:
            Path(folder, "overlay.yaml").write_text(overlay)
            arguments = (*arguments, "--configfile", "overlay.yaml")
        return studies.snakemake(folder, "-s", ROOT / "Snakefile", "-n", "-d", ".", *arguments)


def snakemake(*arguments, config=None, overlay=None):
    """Exit status and stderr lines of a dry run."""
    done = dry_run(*arguments, config=config, overlay=overlay)
    return done.returncode, [line for line in done.stderr.splitlines() if line and not line.startswith(OWN)]


@pytest.mark.parametrize("overlay", THROUGH)
def test_snakemake_ends_with_the_line(overlay):
    status, lines = snakemake(overlay=overlay)
    assert (status, len(lines)) == (1, 1), lines
    refusals.check_line(lines[0], overlay, WRONG[overlay])


def test_broken_yaml_is_found_before_snakemake_reads_it():
    config = b"training: {steps: 5\n"
    status, lines = snakemake(config=config)
    assert (status, len(lines)) == (1, 1), lines
    assert "config.yaml:2: (top level): found broken YAML" in lines[0]


def test_values_of_the_command_line_have_their_types():
    status, lines = snakemake(
        "--quiet", "all", "--config", "training={steps: 300, learning_rate: 1e-3}", "seeds=[0, 1]"
    )
    assert status == 0, lines
    wrong = snakemake("--config", "training={steps: -1}")
    assert wrong == (1, ["--config: training.steps: found -1, allowed: integer >= 1"])


def jobs(*arguments, overlay=None):
    """Jobs of a dry run in an empty folder, as `rule: wildcards`."""
    done = dry_run("all", *arguments, overlay=overlay)
    assert done.returncode == 0, done.stderr
    result, rule = set(), None
    for line in done.stdout.splitlines():
        if line.startswith(("rule ", "localrule ")):
            rule = line.split()[1]
        elif line.strip().startswith("wildcards:"):
            result.add(f"{rule} {line.split('wildcards: ')[1]}")
    return result


def test_an_optional_part_is_laid_when_it_is_asked_for():
    ladder = yaml.safe_load((ROOT / "config.yaml").read_text())["optional"]["ladder"]
    plain, asked = jobs(), jobs("--config", "with=ladder")
    left_out = {f"draw_figure: figure={name}" for name, entry in ladder["figures"].items() if entry is False}
    assert plain - asked == left_out
    more = asked - plain
    for rule, of in (("prepare_model", ""), ("evaluate_checkpoint", ", checkpoint=base")):
        assert {f"{rule}: model={model}{of}" for model in ladder["models"]} <= more
    assert not any(job.startswith("train_adapter") for job in more), "its models are measured, not trained"
    assert {"probe_table: probe=routing_overlap", "draw_figure: figure=overlap_by_width"} <= more


def test_a_later_file_has_its_say_over_an_optional_part_or_replaces_it():
    part = {"models": {"other": NANO["nano_dense"]}}
    asked = jobs("--config", "with=[ladder]", overlay="models: {nano_64: false}")
    assert "prepare_model: model=nano_96" in asked and "prepare_model: model=nano_64" not in asked
    replaced = jobs("--config", "with=ladder", overlay=yaml.safe_dump({"optional": {"ladder": part}}))
    assert {job for job in replaced if job.startswith("prepare_model")} == {
        "prepare_model: model=other",
        "prepare_model: model=smollm2",
    }
    stages = {job for job in replaced if job.startswith("train_adapter: model=other")}
    assert len(stages) == 12, "a model is trained unless it says otherwise"


def test_without_a_trained_model_there_is_nothing_but_base():
    trained = ("r_heatmaps", "forgetting_learning", "loss_curves", "method_comparison", "rounds")
    figures = f"{{{', '.join(f'{name}: false' for name in trained)}}}"
    result = jobs(overlay=f"models: {{smollm2: {{trained: false}}}}\nfigures: {figures}")
    assert {job for job in result if job.startswith("evaluate_checkpoint")} == {
        "evaluate_checkpoint: model=smollm2, checkpoint=base"
    }
    assert not any(job.startswith("train_adapter") for job in result)


def test_a_wrong_config_is_refused_before_anything_slow_is_imported(tmp_path):
    """So that it takes what Snakemake itself takes to start, two seconds."""
    shutil.copy(ROOT / "config.yaml", tmp_path)
    (tmp_path / "overlay.yaml").write_text("orders: {forward: [code, maths]}")
    options = ["-X", "importtime", "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "-d", "."]
    command = [sys.executable, *options, "--configfile", "overlay.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=studies.environment(), capture_output=True, text=True)
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", done.stderr, re.M))
    assert done.returncode == 1 and "maths" in done.stderr and "yaml" in imported
    slow = {"torch", "transformers", "peft", "datasets", "zarr", "xarray", "matplotlib", "scipy"}
    assert not imported & slow
