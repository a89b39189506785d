"""Sweeps, controls, lists of models and of probed methods: which methods and checkpoints they make."""

from pathlib import Path

import pytest
import yaml

from implicit_sparsity.workflow.config.load import load
from implicit_sparsity.workflow.source import available

ROOT = Path(__file__).parents[3]
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]


@pytest.fixture
def study(tmp_path):
    """The study of config.yaml with an overlay and values of --config on top."""

    def get(overlay=None, *command_line):
        (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(overlay or {}))
        return load([ROOT / "config.yaml", tmp_path / "overlay.yaml"], command_line)

    return get


def trained(study, model="smollm2"):
    """The variants that have a first stage, by name."""
    return sorted(name.split(".")[0] for name in study.stages(model) if name.endswith(".stage1"))


def test_a_sweep_is_a_method_a_value_and_controls_are_swept_with_it(study):
    methods = {
        "lora": {"sweep": {"learning_rate": [1.0e-5, 3.0e-4]}},
        "activation_mask": {"sweep": {"fraction": [0.03]}},
        "orthogonal": {"controls": False},
    }
    mask = [f"activation_mask{control}_fraction_0p03" for control in ("", "_hubs", "_largest_weight")]
    mask += [f"activation_mask_{control}_fraction_0p03" for control in ("least_active", "random")]
    expected = [*mask, "lora_learning_rate_0p0003", "lora_learning_rate_1em05", "orthogonal"]
    assert trained(study({"controls": True, "methods": methods})) == sorted(expected)


def test_options_of_a_variant_are_its_entrys_the_controls_and_the_point(study):
    result = study({"controls": True, "methods": {"lora": {"sweep": {"rank": [2, 4]}}}})
    names = trained(result)
    assert "orthogonal_random" in names and "lora_rank_2" in names and "lora_random" not in names
    assert len(names) == 2 + 2 + 4 + 1  # two ranks; two methods; four controls of A, one of B
    assert len(result.stages("smollm2")) == 4 * len(names)
    methods = result.config["methods"]
    assert methods["lora_rank_2"] == {"rank": 2, "uses": "lora"}
    assert methods["orthogonal_random"] == {**methods["orthogonal"], "uses": "orthogonal"} | {
        key: value for key, value in methods["orthogonal_random"].items() if key not in ("rank", "uses")
    }
    assert methods["orthogonal_random"] != {**methods["orthogonal"], "uses": "orthogonal"}
    assert result.families["lora_rank_2"] == {
        "family": "lora",
        "role": "method",
        "of": "lora",
        "point": {"rank": 2},
    }
    assert result.families["orthogonal_random"]["role"] == "random"


def test_methods_on_some_models_and_probes_of_some_methods(study):
    sizes = {name: {"k": [4]} for name in ("activation_overlap", "hubs")}
    overlay = {
        "models": {"nano": NANO["nano_dense"]},
        "methods": {"lora": {"models": ["nano"]}, "orthogonal": {"models": ["smollm2"]}},
        "probed_methods": ["lora"],
        "probes": {**sizes, "write_interference": {"k": [4]}, "activations": {"top_k": [4]}},
    }
    result = study(overlay)
    assert trained(result, "nano") == ["activation_mask", "lora"]
    assert trained(result) == ["activation_mask", "orthogonal"]
    assert result.probed("nano", "drift") == ["lora.forward.seed0.stage4"]
    assert result.probed("smollm2", "drift") == []
    assert "orthogonal.forward.seed0.stage4" in result.checkpoints("smollm2")
    assert "models" not in result.config["methods"]["lora"] and "probed_methods" not in result.config


def test_a_method_that_starts_from_the_base_waits_for_no_stage(study):
    """Appended to an order, a domain gives it one more stage, and the old ones stay as they are."""
    result = study({"methods": {"independent": {}, "joint": {}}})
    assert {"independent", "joint"} <= set(trained(result))
    adapter = "{model}/{method}.{order}.seed{seed}.stage{stage}"
    place = {"model": "m", "order": "forward", "seed": "0"}
    assert result.previous_adapter(adapter, method="independent", stage="3", **place) == []
    assert (
        result.previous_adapter(adapter, method="lora", stage="3", **place) == "m/lora.forward.seed0.stage2"
    )
    assert result.previous_adapter(adapter, method="lora", stage="1", **place) == []
    assert result.domains_read("joint", "forward", "2") == ["code", "math"]
    assert result.domains_read("lora", "forward", "2") == ["math"]
    assert result.trained_domains("forward", "2") == ["code", "math"]


def test_the_comparison_has_every_method_for_a_dense_model_with_its_controls_in_a_sweep(study):
    part = yaml.safe_load((ROOT / "config.yaml").read_text())["optional"]["comparison"]
    named = trained(study(None, "with=comparison"))
    families = {name.partition("_learning_rate_")[0] for name in named}
    controlled = {"activation_mask_random", "orthogonal_random", "curvature_random", "selective_write_random"}
    assert set(part["methods"]) | controlled <= families
    # expert_mask is for mixtures alone; side_branch grows the model, which the others leave as wide as it was
    assert set(available("methods")) - {"expert_mask", "side_branch"} == set(part["methods"])
    for family in families:
        settings = {name for name in named if name.startswith(f"{family}_learning_rate_")}
        entry = max((name for name in part["methods"] if family.startswith(name)), key=len)
        assert len(settings) == len(part["methods"][entry]["sweep"]["learning_rate"]) >= 2
