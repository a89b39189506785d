"""Sizes of sets: within every model, and 1.0 is neither a share nor a count."""

from pathlib import Path

import pytest
import yaml

from implicit_sparsity.workflow.config import sizes
from implicit_sparsity.workflow.config.error import ConfigError

ROOT = Path(__file__).parents[3]
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]
NANO = {name: NANO[name] for name in ("nano_dense", "nano_moe")}
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
WIDTH = CONFIG["models"]["smollm2"]["width"]


def test_width_of_a_model_is_that_of_all_its_experts():
    assert sizes.width(CONFIG["models"]["smollm2"]) == WIDTH
    assert sizes.width(NANO["nano_dense"]) == 64
    assert sizes.width(NANO["nano_moe"]) == 4 * 16 + 16


def test_the_narrowest_model_limits_the_sets():
    models = {"wide": {"width": 2000}, "narrow": {"width": 5}, "middle": {"width": 50}}
    sizes.check_sizes({"models": models, "probes": {"hubs": {"k": [0.1, 5]}, "plasticity": {}}})
    with pytest.raises(ConfigError) as error:
        sizes.check_sizes({"models": models, "probes": {"hubs": {"k": [0.1, 6]}}})
    words = "a share below 1 or a count <= 5, the width of models.narrow"
    assert str(error.value) == f"probes.hubs.k[1]: found 6, allowed: {words}"


def test_sets_of_experts_are_of_mixtures_alone_and_all_that_are_too_large_are_listed():
    probes = {"routing_overlap": {"k": [0, 4, 0.5]}, "gradient_overlap": {"k": [5000]}}
    sizes.check_sizes({"models": NANO | {"dense": {"width": 9}}, "probes": probes})
    sizes.check_sizes({"models": {"dense": {"width": 9}}, "probes": {"routing_overlap": {"k": [500]}}})
    probes = {"routing_overlap": {"k": [0, 5]}, "hubs": {"k": [100]}, "activation_overlap": {"k": 200}}
    with pytest.raises(ConfigError) as error:
        sizes.check_sizes({"models": NANO, "probes": probes})
    assert [(one.path[1], one.found) for one in error.value.errors] == [
        ("routing_overlap", 5),
        ("hubs", 100),
        ("activation_overlap", 200),
    ]
    assert "a count <= 4, the experts of models.nano_moe" in str(error.value)


@pytest.mark.parametrize(
    "content, key",
    [
        ("probes: {hubs: {k: [0.1, 1.0]}}", "probes.hubs.k[1]"),
        ("probes: {activations: {top_k: 1.0}}", "probes.activations.top_k"),
        ("claims: {h1b: {threshold: 1.0, k: 1.0}}", "claims.h1b.k"),
        ("optional: {a: {figures: {overview: {k: 1.0}}}}", "optional.a.figures.overview.k"),
    ],
)
def test_1_0_is_refused_where_1_is_a_count(content, key):
    (error,) = sizes.one_as_float(yaml.safe_load(content), "mine.yaml")
    words = "found 1.0, allowed: a share below 1, or 1 for a set of one"
    assert str(error) == f"mine.yaml: {key}: {words}"


@pytest.mark.parametrize(
    "content",
    [
        "probes: {hubs: {k: [0.1, 1, 2.0]}, capacity: {}, none: {k: 1.0}, gradient_overlap: {k: 1.0}}",
        "probes: [1.0]",
        "{probes: {hubs: 1.0, 3: {k: 1.0}}, optional: {a: false}, figures: }",
        "optional: [1.0]",
    ],
)
def test_what_is_no_size_is_left_to_other_checks(content):
    assert sizes.one_as_float(yaml.safe_load(content), "mine.yaml") == []
