"""What reads something that is not made: one line of all of it, in the file that switched it off."""

import pytest
import refusals
import yaml

from implicit_sparsity.workflow.config import needs
from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.load import load

WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "probes: {relearning: false}": (
        "probes.relearning",
        "entries that read what is not made: probes.recovery (relearning), figures.recovery (recovery)",
        "(probes: {recovery: false}, figures: {recovery: false}), or with relearning under probes",
    ),
    "probes: {plasticity_task: false}": (
        "probes.plasticity_task",
        "probes.plasticity (plasticity_task)",
        "them",
    ),
    "probes: {thresholds: false}": (
        "probes.thresholds",
        "figures.critical_sparsity (critical_sparsity)",
        "them",
    ),
    "probes: {drift: false}": (
        "probes.drift",
        "probes.representation_drift (drift)",
        "or with drift under probes",
    ),
    "probes: {gradients: false}": ("probes.gradients", "probes.gradient_overlap (gradients)", "figures: {"),
    "probes: {activation_overlap: false}": (
        "probes.activation_overlap",
        "figures.overlap_by_layer (activation_overlap), figures.overview (activation_overlap)",
        "without them (figures: {overlap_by_layer: false, overview: false})",
    ),
    "models: {smollm2: {trained: false}}": (
        "models.smollm2.trained",
        "figures.loss_curves (learning_curves)",
        "or with methods that are trained",
    ),
    "methods: {lora: false, activation_mask: false, orthogonal: false}": (
        "methods",
        "figures.forgetting_learning (fronts), figures.loss_curves (learning_curves), figures.",
        "loss_curves: false, method_comparison: false, r_heatmaps: false, rounds: false}), or with methods",
    ),
    "figures: {routing_by_layer: {}}": (
        "figures.routing_by_layer",
        "an entry that reads what is not made: figures.routing_by_layer (routing_overlap)",
        "without it (figures: {routing_by_layer: false}), or with routing_overlap under probes",
    ),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])
    assert refusals.refused("config.yaml", "overlay.yaml").startswith("overlay.yaml: ")


@pytest.mark.parametrize("overlay", [overlay for overlay in WRONG if ": false" in overlay])
def test_the_overlay_that_the_line_gives_mends_it(folder, overlay):
    (folder / "overlay.yaml").write_text(overlay)
    line = refusals.refused("config.yaml", "overlay.yaml")
    mending = line.partition("without them (")[2].partition("), or with")[0]
    (folder / "more.yaml").write_text("\n".join(mending.replace("}, ", "}\n").splitlines()))
    study = load(["config.yaml", "overlay.yaml", "more.yaml"])
    switched_off = yaml.safe_load((folder / "more.yaml").read_text())
    assert all(name not in study.given[section] for section in switched_off for name in switched_off[section])


def wanting(**config):
    """What lacks something in a study of one model without methods, with these probes and figures."""
    given = {"models": {"m": {}}, "methods": {}, "probes": {}, "figures": {}} | config
    return needs.unmet(given)


def test_a_measurement_that_reads_another_needs_it():
    assert wanting(probes={"thresholds": {}, "activations": {}}) == {}
    assert wanting(probes={"drift": {}}) == {}, '"previous" is a stage, and not measured'
    assert wanting(probes={"plasticity": {}, "plasticity_task": {}}) == {}
    assert wanting(probes={"thresholds": {}}) == {("probes", "thresholds"): "activations"}
    of_base = {("probes", "write_interference"): "activations"}
    assert wanting(probes={"write_interference": {}, "write_energy": {}}) == of_base


def test_what_reads_that_follows():
    probes = {"thresholds": {}, "critical_sparsity": {}}
    assert wanting(probes=probes, figures={"critical_sparsity": {}}) == {
        ("probes", "thresholds"): "activations",
        ("probes", "critical_sparsity"): "thresholds",
        ("figures", "critical_sparsity"): "critical_sparsity",
    }


def test_without_another_file_the_reader_is_named():
    with pytest.raises(ConfigError) as error:
        needs.check_needs({"models": {}, "methods": {}, "probes": {}, "figures": {"recovery": {}}})
    assert error.value.path == ("figures", "recovery")
