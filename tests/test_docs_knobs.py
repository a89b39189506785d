"""docs/knobs.md tells of every key and option that the code takes, and of no others."""

import re

import pytest
import yaml
from texts import ROOT, TEXTS

from implicit_sparsity.workflow.config.model_keys import KINDS
from implicit_sparsity.workflow.config.sections import Config, Method
from implicit_sparsity.workflow.source import available, option_fields, signature_options

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def keys(section) -> set:
    """Keys of a mapping of the config, by its model."""
    return {field.alias or name for name, field in section.model_fields.items()}


def keys_to_document() -> dict:
    """{section of config.yaml or entry of probes: its keys}, from the models, the config and the classes."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    result = {name: set() for name in sorted({*CONFIG, *keys(Config)})}
    for name in ("splits", "tokens", "training", "evals", "comparisons", "hardware", "archive"):
        result[name] = keys(sections[name]) | set(CONFIG.get(name, {}))
    for kind in KINDS.values():
        result["models"] |= keys(kind)
    result["domains"] = {"loader"}
    for loader in ("jsonl", "parquet", "hub"):
        options = signature_options(f"implicit_sparsity.corpora.sources.{loader}", "documents")
        result["domains"] |= set(options) - {"seed"}
    result["methods"] = keys(Method)
    result["methods"] |= set(option_fields("implicit_sparsity.methods.lora"))
    for room in ("measurements", "probes"):
        for name in available(room):
            options = option_fields(f"implicit_sparsity.{room}.{name}")
            result[f"probes.{name}"] = {*options, *CONFIG["probes"].get(name, ())}
    return result


@pytest.mark.parametrize(("knob", "keys"), keys_to_document().items(), ids=list(keys_to_document()))
def test_every_knob_is_written_about(knob, keys):
    """Under a heading of its name, or for a probe in the row or sentence that names it."""
    room, _, name = knob.rpartition(".")
    parts = re.split(r"^(##+ .*)$", TEXTS["docs/knobs.md"], flags=re.M)[1:]
    level = "### " if room else "## "
    reported = [
        body
        for title, body in zip(parts[::2], parts[1::2])
        if title.startswith(level) and f"`{name}`" in title
    ]
    if room and not reported:
        reported = [line for line in TEXTS["docs/knobs.md"].splitlines() if f"`{name}`" in line]
    assert reported, f"docs/knobs.md does not tell of {knob}"
    assert {key for key in keys if f"`{key}`" not in "".join(reported)} == set()


def test_no_knob_is_told_of_that_is_gone():
    """The first column of every table: names of sections and probes, and keys."""
    first = re.findall(r"^\| (`[^|]*`) \|", TEXTS["docs/knobs.md"], re.M)
    reported = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    known = {name.rpartition(".")[2] for name in keys_to_document()}.union(*keys_to_document().values())
    assert reported and reported - known == set()
