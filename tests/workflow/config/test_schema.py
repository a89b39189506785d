"""The schema for editors: made from the models, and the same as what they check."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from implicit_sparsity.workflow.config import schema
from implicit_sparsity.workflow.config.keys import Section
from implicit_sparsity.workflow.config.sections import Config
from implicit_sparsity.workflow.source import option_fields

ROOT = Path(__file__).parents[3]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_file_is_what_the_models_say():
    """Written anew by `PYTHONPATH=scripts python -m implicit_sparsity.workflow.config.schema`."""
    assert (ROOT / "rules/config.schema.yaml").read_text() == schema.text()


def test_the_schema_is_one_and_takes_the_config():
    Draft202012Validator.check_schema(schema.schema())
    assert list(Draft202012Validator(schema.schema()).iter_errors(CONFIG)) == []


@pytest.mark.parametrize(
    "path, value",
    [
        (("training", "steps"), 0),
        (("training", "stepz"), 1),
        (("models", "smollm2", "source"), "zoo"),
        (("probes",), {"hubs": {}}),
        (("evals", "documents"), "1"),
        (("optional", "comparison"), {"with": []}),
    ],
)
def test_what_the_models_refuse_the_schema_refuses(path, value):
    wrong = yaml.safe_load((ROOT / "config.yaml").read_text())
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert list(Draft202012Validator(schema.schema()).iter_errors(wrong))


def sections():
    """Every model of keys."""
    models = [*Section.__subclasses__()]
    for one in models:  # which grows on the way
        models += one.__subclasses__()
    return models


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_key_has_a_meaning_in_a_sentence(section):
    assert issubclass(section, BaseModel) and section.__doc__
    for name, field in section.model_fields.items():
        words = field.description or ""
        assert words[:1].isupper() and words.endswith((".", "?")), f"{section.__name__}.{name}"


def test_defaults_have_every_key_that_is_required():
    fields = Config.model_fields
    named = {field.alias or name for name, field in fields.items()}
    # where jobs run is not said in config.yaml: `hardware` is for overlays
    assert set(CONFIG) == named - {"hardware"}
    for section in ("splits", "tokens", "training", "evals"):
        inner = fields[section].annotation.model_fields
        assert set(CONFIG[section]) == {name for name, field in inner.items() if field.is_required()}
        assert set(inner) == set(CONFIG[section])
    activations = option_fields("implicit_sparsity.measurements.activations")
    assert set(CONFIG["probes"]["activations"]) == set(activations)
