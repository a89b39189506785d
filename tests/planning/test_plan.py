"""The plan of a study: where shapes and rates are from, sums over jobs, the user's own ranges beside them."""

import json

import networks
import planned
import pytest

from implicit_sparsity.planning import plan, shapes

H200 = {"card": "h200", "price_per_hour": 2.5}
NOTES = {"warning": "", "measured": ["gpu.json"]}
CHECKPOINTS = {
    "trained": ["lora.forward.seed0.stage1", "lora.forward.seed0.stage2"],
    "measured": {"activations": ["base"], "drift": ["lora.forward.seed0.stage2"]},
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path.parent


def test_a_configuration_is_of_the_folder_that_was_made_else_of_the_source(tmp_path):
    made, given = {"model_type": "made"}, {"model_type": "given"}
    path = {"source": "path", "path": str(write(tmp_path / "given/config.json", given))}
    assert plan.configuration("mine", path, tmp_path / "models") == given
    write(tmp_path / "models/mine/config.json", made)
    assert plan.configuration("mine", path, tmp_path / "models") == made
    assert plan.configuration("other", path, tmp_path / "models") == given


def test_a_model_from_scratch_is_as_the_config_says_whatever_was_made(tmp_path):
    write(tmp_path / "mine/config.json", {"model_type": "made"})
    scratch = {"source": "scratch", "config": {"hidden_size": 8}, "vocabulary": 300}
    assert plan.configuration("mine", scratch, tmp_path) == {"hidden_size": 8, "vocab_size": 300}


def test_rates_and_lengths_are_those_that_were_measured(tmp_path):
    folder = write(tmp_path / "mine/config.json", networks.LLAMA)
    config = planned.config() | {"models": {"nano_7b": {"source": "path", "path": str(folder)}}}
    splits = {"train": {"tokens": 90, "documents": 3}, "eval": {"tokens": 30, "documents": 1}}
    write(tmp_path / "results/tokens/nano_7b/code/index.json", {"splits": splits})
    row = {"model": "Nano-7B", "what": "train", "utilisation": 0.25}
    write(tmp_path / "benchmarks/gpu.json", {"device": "NVIDIA H200", "rows": [row]})
    study, notes = plan.study_of(config, tmp_path / "results", tmp_path / "benchmarks")
    assert study.shapes == {"nano_7b": shapes.of_config(networks.LLAMA)} and study.length("nano_7b") == 30
    assert study.measured == {} and notes == {"warning": "", "measured": []}, "of no hardware"
    study, notes = plan.study_of(config | {"hardware": H200}, tmp_path / "results", tmp_path / "benchmarks")
    assert notes == {"warning": "", "measured": ["gpu.json"]}
    assert study.utilisation("nano_7b", "train") == 0.25 and study.utilisation("nano_7b", "probe") == 0.4


def test_a_model_is_trained_with_the_methods_of_its_checkpoints():
    assert plan.methods_of(CHECKPOINTS) == {"lora"} and plan.methods_of({"trained": []}) == set()


def test_a_plan_adds_up():
    study = planned.study(hardware=H200)
    made = plan.of_model(study, "dense", CHECKPOINTS, NOTES)
    counts = {rule: row["jobs"] for rule, row in made["rules"].items()}
    assert counts == {"train_adapter": 2, "activations": 4, "drift": 1, "evaluate_checkpoint": 3}
    training = planned.CONFIG["training"]
    assert (
        made["rules"]["train_adapter"]["tokens"]
        == 2 * training["steps"] * training["batch_size"] * planned.LENGTH
    )
    assert made["rules"]["activations"]["tokens"] == 4 * 2 * planned.CONFIG["probes"]["activations"]["tokens"]
    assert made["hours"] == pytest.approx(sum(row["hours"] for row in made["rules"].values()))
    seconds = [3600 * row["hours"] / row["jobs"] for row in made["rules"].values()]
    assert min(seconds) > 20 and max(seconds) < 25, "a nano job takes little more than its start"
    assert made["cost"] == pytest.approx(2.5 * made["hours"])
    methods = {case.partition(" ")[2] for case in made["memory"]}
    assert methods == {"", "lora"} and "train_adapter lora" in made["memory"]
    total = planned.shape("dense").total
    assert made["parameters"]["total"] == made["parameters"]["active"] == total
    assert sum(made["parameters"]["parts"].values()) == total
    assert made["storage"]["models"] == 4 * total and made["measured"] == ["gpu.json"]
    assert json.loads(json.dumps(made)) == made, "it is written as JSON"


def test_a_plan_is_of_its_model_alone():
    both = planned.study(("dense", "mixture"), hardware=H200)
    alone = planned.study(hardware=H200)
    assert plan.of_model(both, "dense", CHECKPOINTS, NOTES) == plan.of_model(
        alone, "dense", CHECKPOINTS, NOTES
    )


def test_without_hardware_hours_and_cost_are_nought():
    made = plan.of_model(planned.study(), "dense", CHECKPOINTS, NOTES)
    assert made["hours"] == made["cost"] == 0 and made["budget"] == []


def test_what_hours_rest_on_is_told():
    study = planned.study(
        hardware=H200 | {"mean_tokens": 100, "utilisation": {"probe": 0.3}},
        measured={("dense", "train"): 0.2},
        fast=False,
    )
    assumed = plan.of_model(study, "dense", CHECKPOINTS, NOTES)["assumed"]
    assert assumed == {
        "tokens_per_document": 100,
        "tokens_counted": False,
        "utilisation": {"train": 0.2, "probe": 0.3},
        "utilisation_measured": {"train": True, "probe": False},
        "fast_kernels": False,
    }
    counted = planned.study(lengths={"dense": 41.5}, hardware=H200)
    assumed = plan.of_model(counted, "dense", CHECKPOINTS, NOTES)["assumed"]
    assert (assumed["tokens_per_document"], assumed["tokens_counted"]) == (41.5, True)


MEMORY = {
    "train_adapter lora": {"total": 3e9},
    "activations": {"total": 5e9},
    "evaluate_checkpoint": {"total": 9e9},
}
RULES = {
    "activations": {"hours": 8.0},
    "train_adapter": {"hours": 6.0},
    "evaluate_checkpoint": {"hours": 1.0},
}


@pytest.mark.parametrize(
    ("what", "estimate"),
    [
        ("memory_gb", 5.0),  # scoring is not counted
        ("probe_domain_hours", 2.0),  # 4 domains
        ("train_domain_hours", 3.0),  # 2 of them trained, in whatever orders
        ("total_hours", 15.0),
        ("total_cost", 37.5),
    ],
)
def test_the_users_ranges_stand_beside_the_estimate(what, estimate):
    ranges = {"inside": [estimate, estimate], "below": [estimate + 1, 99], "above": [0, estimate - 1]}
    for where, ends in ranges.items():
        hardware = H200 | {"budget": {"dense": {what: ends}, "another": {what: [0, 0]}}}
        orders = {"forward": ["code", "math"], "backward": ["math", "code"]}
        study = planned.study(orders=orders, hardware=hardware)
        row = {"what": what, "low": ends[0], "high": ends[1], "estimate": estimate, "inside": where}
        assert plan.budget(study, "dense", MEMORY, RULES, 15.0) == [row]


def test_a_model_without_ranges_has_none():
    assert plan.budget(planned.study(hardware=H200), "dense", MEMORY, RULES, 15.0) == []
