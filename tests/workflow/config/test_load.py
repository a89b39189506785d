"""Which file a line names, which of several errors is told, and what several files make together."""

import refusals

from implicit_sparsity.workflow.config.load import load


def test_a_value_of_the_command_line_is_named_as_such(folder):
    line = refusals.refused("config.yaml", training={"steps": "-1"})
    assert line == "--config: training.steps: found -1, allowed: integer >= 1"
    assert refusals.refused("config.yaml", seeds="[1").startswith("--config: seeds: found broken YAML (")


def test_the_outermost_error_is_told_and_an_unknown_key_before_a_missing_one(folder):
    (folder / "overlay.yaml").write_text(
        "training: {steps: 0}\nmodels: {x: {source: path, paht: y}}\nevals: 3"
    )
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line == "overlay.yaml: evals: found 3, allowed: mapping"
    (folder / "overlay.yaml").write_text("models: {x: {source: path, paht: y}}")
    assert "models.x.paht: found an unknown key" in refusals.refused("config.yaml", "overlay.yaml")


def test_the_last_file_that_says_it_is_named(folder):
    (folder / "overlay.yaml").write_text("training: {steps: 0}")
    (folder / "later.yaml").write_text("training: {clip: 2}")
    line = refusals.refused("config.yaml", "overlay.yaml", "later.yaml")
    assert line.startswith("overlay.yaml: training.steps: ")


def test_a_file_that_is_named_twice_counts_where_it_came_first(folder):
    """Snakemake gives config.yaml again after the files of --configfile."""
    (folder / "overlay.yaml").write_text("training: {steps: 7}")
    assert load(["config.yaml", "overlay.yaml", "config.yaml"], {}).config["training"]["steps"] == 7


def test_the_command_line_lies_on_top(folder):
    (folder / "overlay.yaml").write_text("training: {steps: 7, warmup: 1}")
    study = load(["config.yaml", "overlay.yaml"], {"training": {"steps": "9"}, "seeds": "[3]"})
    assert (study.config["training"]["steps"], study.config["training"]["warmup"]) == (9, 1)
    assert study.config["seeds"] == [3]


def test_a_part_that_nobody_asked_for_is_left_out_and_yet_checked(folder):
    (folder / "overlay.yaml").write_text("optional: {mine: {seeds: [5]}}")
    study = load(["config.yaml", "overlay.yaml"], {})
    assert study.config["seeds"] == [0] and not {"optional", "with"} & set(study.config)
    assert load(["config.yaml", "overlay.yaml"], {"with": "mine"}).config["seeds"] == [5]
    (folder / "overlay.yaml").write_text("optional: {mine: {seeds: [-5]}}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    assert line == "overlay.yaml (optional.mine): seeds[0]: found -5, allowed: integer >= 0"
