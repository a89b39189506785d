"""What a measurement says of itself, read from its source: how it is measured, of what, on what."""

import pytest

from implicit_sparsity.workflow import measures
from implicit_sparsity.workflow.config.error import ConfigError


def test_measurements_are_told_from_probes_and_have_every_option():
    result = measures.of({"activations": {"tokens": 64}, "hubs": {"k": [4]}, "drift": {}})
    assert list(result) == ["activations", "drift"]
    options = result["activations"].options
    assert options["tokens"] == 64 and options["groups"] == 32 and options["thresholds"] == [0.01, 0.1]
    assert measures.of({}) == {} == measures.of({"hubs": {}})


def test_what_is_planned_does_not_say_how_it_is_measured():
    """Further stages, methods and controls are further stores: none that is there is made again."""
    few = measures.of({"activations": {}})["activations"]
    more = measures.of({"activations": {"stages": "all", "methods": ["lora"], "controls": ["bare"]}})[
        "activations"
    ]
    other = measures.of({"activations": {"tokens": 64}})["activations"]
    assert few.how == more.how != other.how
    assert set(few.options) - set(few.how) == {"stages", "methods", "controls"}
    assert more.options["stages"] == "all"


def test_scope_needs_time_and_the_base_model_are_those_of_the_class():
    result = measures.of({"activations": {}, "drift": {}, "thresholds": {}, "input_spectra": {}})
    scopes = {name: measure.scope for name, measure in result.items()}
    assert scopes["activations"] == "domain" and scopes["drift"] == "checkpoint"
    assert result["thresholds"].needs == ("activations", "tokens") and result["activations"].needs == ()
    assert (result["activations"].minutes, result["drift"].minutes) == (20, 30)
    assert [name for name, measure in result.items() if not measure.of_base] == ["drift"]


def test_a_scope_that_no_rule_knows_is_refused(monkeypatch):
    monkeypatch.setattr(measures, "SCOPES", ("checkpoint",))
    with pytest.raises(ConfigError) as error:
        measures.of({"activations": {}})
    scope = "a measurement of SCOPE 'domain'"
    assert str(error.value) == f"probes.activations: found {scope}, allowed: checkpoint"
