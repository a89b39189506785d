"""Sweeps, controls, lists of models and of probed methods: which jobs they make."""

import json
import re

from test_config import NANO, jobs


def trained(result):
    """The variants that have a first stage, by name."""
    names = (re.search(r"^train_adapter: .*method=(\w+), .*stage=1$", job) for job in result)
    return sorted(match.group(1) for match in names if match)


def test_a_sweep_is_a_method_a_value_and_controls_are_swept_with_it():
    overlay = """
controls: true
methods:
  lora: {sweep: {learning_rate: [1.0e-5, 3.0e-4]}}
  activation_mask: {sweep: {fraction: [0.03]}}
  orthogonal: {controls: false}
"""
    mask = [f"activation_mask{control}_fraction_0p03" for control in ("", "_hubs", "_largest_weight")]
    mask += [f"activation_mask_{control}_fraction_0p03" for control in ("least_active", "random")]
    expected = [*mask, "lora_learning_rate_0p0003", "lora_learning_rate_1em05", "orthogonal"]
    assert trained(jobs(overlay=overlay)) == sorted(expected)


def test_options_of_a_variant_are_its_entrys_the_controls_and_the_point():
    result = {job for job in jobs(overlay="controls: true") if job.startswith("train_adapter")}
    names = trained(result)
    assert "orthogonal_random" in names and "lora" in names and "lora_random" not in names
    assert len(names) == 3 + 4 + 1  # the three methods; four controls of A, one of B
    assert len(result) == 4 * len(names)


def test_methods_on_some_models_and_probes_of_some_methods():
    overlay = f"""
models: {{nano: {json.dumps(NANO["nano_dense"])}}}
methods: {{lora: {{models: [nano]}}, orthogonal: {{models: [smollm2]}}}}
probed_methods: [lora]
figures: {{routing_by_layer: false}}
probes: {{activation_overlap: {{k: [4]}}, hubs: {{k: [4]}}, activations: {{top_k: [4]}}}}
"""
    result = jobs(overlay=overlay)
    models = {
        name: {re.search(r"model=(\w+)", job).group(1) for job in result if f"method={name}," in job}
        for name in ("lora", "orthogonal", "activation_mask")
    }
    assert models == {"lora": {"nano"}, "orthogonal": {"smollm2"}, "activation_mask": {"nano", "smollm2"}}
    drift = sorted(job for job in result if job.startswith("measure_drift"))
    assert drift == ["measure_drift: model=nano, checkpoint=lora.forward.seed0.stage4"]
    scored = {job for job in result if job.startswith("evaluate_checkpoint")}
    assert "evaluate_checkpoint: model=smollm2, checkpoint=orthogonal.forward.seed0.stage4" in scored


def test_a_method_that_starts_from_the_base_waits_for_no_stage():
    """Appended to an order, a domain gives it one more stage, and the old ones stay as they are."""
    result = jobs(overlay="methods: {independent: {}, joint: {}}")
    assert {"independent", "joint"} <= set(trained(result))
