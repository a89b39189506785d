"""Keys of what the study may take, and of what is kept of it."""

import pytest
import refusals

from implicit_sparsity.planning.gpus import GPUS, UTILISATION
from implicit_sparsity.workflow.config.hardware_keys import Archive, Budget, Hardware, Utilisation
from implicit_sparsity.workflow.config.load import load

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "hardware: {card: a100}": ("hardware.card", "'a100'", "did you mean"),
    "hardware: {cards: 4}": ("hardware.card", "nothing", "a100_40gb | a100_80gb | h100_80gb | h200"),
    "hardware: {card: h200, cards: 0}": ("hardware.cards", "0", "integer >= 1"),
    "hardware: {card: h200, utilisation: {train: 1.5}}": ("hardware.utilisation.train", "1.5", "<= 1"),
    "hardware: {card: h200, budget: {smollm2: {total_hours: [3]}}}": (
        "hardware.budget.smollm2.total_hours",
        "[3]",
        "a list of two numbers",
    ),
    "hardware: {card: h200, cards_per_job: {smollm2: 0}}": ("cards_per_job.smollm2", "0", "integer >= 1"),
    "hardware: {card: h200, price_per_hour: -1}": ("hardware.price_per_hour", "-1", "number >= 0"),
    "hardware: {card: h200, utilisation: {train: 0}}": ("hardware.utilisation.train", "0", "> 0"),
    "hardware: {card: h200, utilisation: {eval: 0.3}}": ("utilisation.eval", "unknown key", "probe, train"),
    "hardware: {card: h200, currency: ''}": ("hardware.currency", "''", "text that is not empty"),
    "hardware: {card: h200, require_fast_kernels: 1}": ("require_fast_kernels", "1", "true or false"),
    "hardware: {card: h200, budget: {smollm2: {memory_gb: [1, 2, 3]}}}": (
        "hardware.budget.smollm2.memory_gb",
        "[1, 2, 3]",
        "a list of two numbers",
    ),
    "hardware: {card: h200, budget: {smollm2: {hours: [1, 2]}}}": (
        "hardware.budget.smollm2.hours",
        "unknown key",
        "total_hours",
    ),
    "archive: {path: study.zip}": ("archive.path", "'study.zip'", "ends in .tar or .tar.gz"),
    "archive: {weights: 1}": ("archive.weights", "1", "true or false"),
    "archive: {weight: true}": ("archive.weight", "unknown key", "did you mean weights?"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


def test_a_negative_end_of_a_range_is_refused_where_it_stands(folder):
    (folder / "overlay.yaml").write_text("hardware: {card: h200, budget: {smollm2: {total_cost: [-1, 2]}}}")
    line = refusals.refused("config.yaml", "overlay.yaml")
    place = "hardware.budget.smollm2.total_cost[0]"
    assert line == f"overlay.yaml: {place}: found -1, allowed: number >= 0"


@pytest.mark.parametrize("name", ["a.tar", "folder/a.tar.gz", "a.tgz"])
def test_names_of_an_archive(name):
    assert Archive.model_validate({"path": name}).path == name


def test_the_plan_knows_every_card_and_every_share_that_may_be_said():
    """Lists of the config and tables of planning/, which do not import each other."""
    assert set(Hardware.model_fields["card"].annotation.__args__) == set(GPUS)
    assert set(Utilisation.model_fields) == set(UTILISATION)


def test_without_hardware_and_ranges_there_is_none(folder):
    config = load(["config.yaml"]).config
    assert "hardware" not in config
    assert all(value is None for value in Budget.model_validate({}).model_dump().values())
