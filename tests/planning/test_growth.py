"""How the estimate grows, where arithmetic says by how much."""

import copy
from pathlib import Path

import networks
import pytest
import yaml
from test_shapes import QWEN_27B

from implicit_sparsity.models import loading
from implicit_sparsity.planning import costs, growth, shapes

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def study(config=None, **more):
    config = copy.deepcopy(CONFIG) | (config or {})
    shape = shapes.of_config(QWEN_27B)
    config["models"] = {"qwen_27b": {"source": "hub", "precision": "bf16"}}
    return costs.Study(config, {"qwen_27b": shape}, fast=True, **more)


@pytest.mark.parametrize("kind", networks.CONFIGS)
@pytest.mark.parametrize("factor", ["layers", "width"])
def test_doubled_shapes_are_those_of_doubled_networks(kind, factor):
    config = copy.deepcopy(networks.CONFIGS[kind])
    if factor == "layers":
        config["num_hidden_layers"] *= 2
    else:
        for name in config:
            wide = ("hidden_size", "intermediate_size", "_heads", "key_heads", "value_heads")
            config[name] = config[name] * 2 if name.endswith(wide) else config[name]
    real = sum(p.numel() for p in loading.create(config, 0).parameters())
    grown = growth.FACTORS[factor](shapes.of_config(networks.CONFIGS[kind]))
    assert grown.total == pytest.approx(real, rel=0.03)


def test_exponents():
    result = growth.exponents(study({"training": CONFIG["training"] | {"steps": 100}}), ["qwen_27b"])
    assert result["tokens"]["FLOPs"] == pytest.approx(1, abs=0.03)  # samples for masks do not grow
    assert result["layers"]["FLOPs"] == pytest.approx(1, abs=0.05)  # but for the head
    assert 1.8 < result["width"]["FLOPs"] < 2
    assert 0.9 < result["methods"]["FLOPs"] < 1  # the base model is measured once
    # twice the stages, and each checkpoint is scored on twice the domains
    assert 1 < result["domains"]["FLOPs"] < 2
    assert "GPU hours" not in result["tokens"]
