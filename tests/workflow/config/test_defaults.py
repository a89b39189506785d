"""A default that is spelled out changes no param of any job; any other value does."""

import pytest
import yaml

from implicit_sparsity.workflow import source
from implicit_sparsity.workflow.config.defaults import without_defaults
from implicit_sparsity.workflow.config.load import load

ROOMS = ("methods", "figures", "claims", "probes")


@pytest.fixture
def study(folder):
    """The study of config.yaml and an overlay."""

    def get(overlay=None):
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay or {}))
        return load(["config.yaml", "overlay.yaml"])

    return get


def spelled(room, name):
    """Every option of a module with a default that YAML has, spelled out."""
    options = source.option_fields(source.module_name(room, name))
    known = {key: option.default for key, option in options.items() if not option.required}
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in known.items()}
    # a figure of one domain is of the reference set where the config names none
    return {k: v for k, v in listed.items() if v is not ... and v is not None and k != "domain"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_default_spelled_out_is_no_change(study, room):
    plain = study()
    names = [name for name in plain.given[room] if name in source.available(room)]
    entries = {name: spelled(room, name) | plain.given[room][name] for name in names}
    assert any(entries[name] != plain.given[room][name] for name in names)
    again = study({room: entries})
    assert again.given != plain.given and again.config == plain.config
    assert again.recipe("smollm2", "lora", "forward", 1) == plain.recipe("smollm2", "lora", "forward", 1)


def test_a_default_of_a_model_or_a_loader_is_no_change(study, folder):
    (folder / "rows.jsonl").write_text("")
    mine = {"path": "rows.jsonl", "fields": {"completion": "a"}, "licence": "MIT"}
    both = [
        study({"models": {"smollm2": model}, "domains": {"code": {"sources": {"jsonl": mine | more}}}})
        for model, more in (({}, {}), ({"precision": "fp32", "trained": True}, {"loader": "jsonl"}))
    ]
    assert both[0].config["models"] == both[1].config["models"]
    assert both[0].source_options("code", "jsonl") == both[1].source_options("code", "jsonl")
    assert study({"models": {"smollm2": {"precision": "bf16"}}}).config["models"] != both[0].config["models"]


def test_another_value_is_a_change_and_equal_is_equal_whatever_it_is_written_as():
    module = source.module_name("methods", "lora")
    alpha = source.option_fields(module)["alpha"].default
    assert without_defaults({"alpha": int(alpha), "rank": 3}, module) == {"rank": 3}
    assert without_defaults({"alpha": alpha * 2}, module) == {"alpha": alpha * 2}
    assert without_defaults({"alpha": True, "other": 1}, module) == {"alpha": True, "other": 1}


def test_a_point_of_a_sweep_that_is_the_default_is_the_method_as_it_is(study):
    swept = study({"methods": {"lora": {"sweep": {"alpha": [16, 32]}}}, "comparisons": {"reference": "lora"}})
    assert swept.config["methods"]["lora_alpha_16"] == {"uses": "lora"}
    assert swept.config["methods"]["lora_alpha_32"] == {"alpha": 32, "uses": "lora"}
