"""What a study has at the places of which options speak."""

import pytest

from implicit_sparsity.workflow.config import places
from implicit_sparsity.workflow.config.load import load

OVERLAY = """
methods: {lora: {sweep: {rank: [2, 4]}}, activation_mask: false, orthogonal: false}
probes: {hubs: {}, input_spectra: {energy: 0.9}, activations: {stages: final}}
evals: {choice_items: 0}
comparisons: {margins: {acc: 0.1}}
claims: {h2a: {threshold: 0.02, score: loss_completion}}
"""


@pytest.fixture
def study(folder):
    (folder / "overlay.yaml").write_text(OVERLAY + "figures: {capacity: {energy: 0.9}}")
    return load(["config.yaml", "overlay.yaml"])


def test_each_place_has_what_the_study_has(study):
    splits, tokens = study.given["splits"], study.given["tokens"]
    expected = {
        "models": ["smollm2"],
        "orders": ["forward"],
        "methods": ["lora", "lora_rank_2", "lora_rank_4"],
        "splits.probe": splits["probe"],
        "splits.probe x tokens.max_length": splits["probe"] * tokens["max_length"],
        "longest order": 4,
        "untrained domains": ["knowledge"],
        "probes.input_spectra.energy": 0.9,
        "probes.input_spectra.down": False,
        "probes.hubs.k": [0.01, 0.1],
        "probes.activation_overlap.draws": 48,  # by default
        "probes.routing_overlap.k": None,  # no probe of this study
        "probes.routing_overlap": None,
        "scores": [*places.LOSSES],
        "compared scores": ["loss_completion", "loss_content"],  # acc has a margin, and nothing measures it
    }
    assert {place: places.at(study, place) for place in expected} == expected
    assert places.at(study, "probes.hubs")["draws"] == 48
    assert {"random", "shared", "unprojected"} <= set(places.at(study, "controls"))
    later = [f"lora_rank_{r}.forward.seed0.stage{s}" for r in (2, 4) for s in (2, 3, 4)]
    assert places.at(study, "second stages") == later


def test_the_checkpoints_of_a_figure_are_those_of_the_measurement_behind_its_table(study):
    of = {
        figure: places.at(study, "checkpoints", ("figures", figure))
        for figure in ("hubs", "gradients_by_layer")
    }
    trained = [f"lora_rank_{rank}.forward.seed0.stage4" for rank in (2, 4)]
    assert of == {"hubs": ["base", *trained], "gradients_by_layer": ["base"]}
    assert places.at(study, "checkpoints", ("figures", "loss_curves")) == ["base"]


def test_scores_are_those_of_the_evaluation():
    from implicit_sparsity.passes.evaluation import HIGHER_IS_BETTER

    of_base = {"acc_chance", "acc_overlap", "acc_longest"}  # no stage has them, so nothing compares them
    assert set(places.SCORES) == set(HIGHER_IS_BETTER) - of_base
