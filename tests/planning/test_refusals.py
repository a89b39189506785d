"""Methods that a form of feed-forward layers cannot take are found by the plan, by the family's name."""

import json

import families as nanos
import layouts
import networks
import preflight
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.planning import refusals, shapes

REFUSED = {  # layout: methods that it cannot take
    "plain": {"side_branch", "expert_mask"},  # biases
    "gelu": {"expert_mask"},
    "fused": {"side_branch", "expert_mask"},
    "unshared": {"side_branch", "curvature"},
    "shared_gated": set(),
    "some_dense": {"side_branch"},
    "first_dense": {"side_branch"},
}
METHODS = ("activation_mask", "side_branch", "expert_mask", "curvature", "osf", "selective_write", "lora")


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_layout_refuses(name):
    traits = shapes.of_config(layouts.LAYOUTS[name][0]).traits
    assert {method for method in METHODS if refusals.reason(traits, method)} == REFUSED[name]


def test_an_option_may_decide():
    """Attention has linear layers where the FFN of routed experts alone has none."""
    traits = shapes.of_config(layouts.LAYOUTS["unshared"][0]).traits
    assert refusals.reason(traits, "curvature", {"targets": "mlp"}).endswith("targets: all has")
    assert refusals.reason(traits, "curvature", {"targets": "all"}) is None
    assert refusals.reason(traits, "mine", {"uses": "osf", "targets": "mlp"})


def test_the_plan_names_family_and_all_methods_in_one_line():
    shape, methods = shapes.of_config(networks.LLAMA), {"a": {"uses": "expert_mask"}, "side_branch": {}}
    refusals.check(shape, "m", {"side_branch": {}})
    with pytest.raises(InputError, match=r"models.m: llama cannot be trained with a: a dense network has no"):
        refusals.check(shape, "m", methods)
    fused = shapes.of_config(layouts.LAYOUTS["fused"][0])
    with pytest.raises(InputError, match=r"phi3 cannot be trained with a: .*; side_branch: new neurons"):
        refusals.check(fused, "m", methods)


def test_preflight_asks_before_anything_else(tmp_path):
    """A model's folder and a study that trains it with what does not fit."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(layouts.LAYOUTS["fused"][0]))
    study = {"models": {"m": {"source": "path", "path": str(model)}}, "hardware": {}}
    study |= {"methods": {"side_branch": {}}, "tokens": {"max_length": 64}, "evals": {"generate": []}}
    with pytest.raises(InputError, match="phi3 cannot be trained with side_branch"):
        preflight.preflight(
            [], tmp_path / "s.md", {"m": {"trained": ["side_branch.f.seed0.stage1"]}}, study, {}
        )


def test_a_measurement_that_asks_for_a_second_attention_kernel():
    """Gemma 2 has one: the numerical floor of the thresholds cannot be measured."""
    shape = shapes.of_config(nanos.config("gemma2"))
    with pytest.raises(
        InputError, match=r"models.m: gemma2 cannot be measured with probes.thresholds: .* none"
    ):
        refusals.check_measured(shape, "m", {"activations": {}, "thresholds": {}, "hubs": {}})
    refusals.check_measured(shape, "m", {"thresholds": {"numerical_floor": "none"}})
    refusals.check_measured(shapes.of_config(nanos.config("gemma3_text")), "m", {"thresholds": {}})
