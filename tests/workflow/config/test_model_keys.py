"""Kinds of models and their keys; the shape of a model from scratch."""

from pathlib import Path

import pytest
import refusals
import yaml
from pydantic import TypeAdapter

from implicit_sparsity.workflow.config.model_keys import KINDS, HubModel, Model

ROOT = Path(__file__).parents[3]
HEX = "0123456789abcdef0123456789abcdef01234567"
HUB = f"source: hub, repo: a/b, revision: {HEX}, layers: 2, width: 64"
PATH = "source: path, path: x, layers: 2"
NANO = yaml.safe_load((ROOT / "tests/nano.yaml").read_text())["models"]


def scratch(kind, without=(), **changes) -> str:
    """An overlay with a nano model whose architecture lacks something or says something else."""
    config = {key: value for key, value in NANO[kind]["config"].items() if key not in without}
    return yaml.safe_dump({"models": {"x": NANO[kind] | {"config": config | changes}}})


WRONG = {  # overlay of config.yaml -> key, found, allowed (parts of the line)
    "models: {other: {layers: 2}}": ("models.other.source", "nothing", "package | hub | path | scratch"),
    "models: {other: {source: hub, repo: a/b}}": (
        "models.other.revision",
        "nothing",
        "40 hexadecimal digits",
    ),
    "models: {smollm2: {precision: fp16}}": ("models.smollm2.precision", "'fp16'", "fp32 | bf16"),
    "models: {Big: {source: path}}": ("models.Big", "'Big'", "lower-case letters"),
    "models: {smollm2: false}": ("models", "an empty mapping", "at least one entry"),
    "models: {x: {source: package, package: a, file: ../../b.gguf, layers: 2, width: 8}}": (
        "models.x.file",
        "'../../b.gguf'",
        "a path inside the package",
    ),
    "models: {x: {source: package, package: a, file: /b.gguf, layers: 2, width: 8}}": (
        "models.x.file",
        "'/b.gguf'",
        "a path inside the package",
    ),
    "models: {x: {source: zoo}}": ("models.x.source", "'zoo'", "package | hub | path | scratch"),
    f"models: {{x: {{{HUB.replace(HEX, 'main')}}}}}": (
        "models.x.revision",
        "'main'",
        "40 hexadecimal digits",
    ),
    f"models: {{x: {{{HUB}, file: y}}}}": (
        "models.x.file",
        "unknown key",
        "repo, revision, source, trained, width",
    ),
    scratch("nano_dense", num_experts=4): (
        "models.x.config",
        "mapping",
        "without num_experts",
    ),
    "models: {smollm2: {trained: maybe}}": ("models.smollm2.trained", "'maybe'", "true or false"),
    "models: {x: 3}": ("models.x", "3", "mapping"),
    "models: {x: {source: hubb}}": ("models.x.source", "'hubb'", "did you mean hub?"),
    "models: {smollm2: {layers: 0}}": ("models.smollm2.layers", "0", "integer >= 1"),
    "models: {smollm2: {file: ''}}": ("models.smollm2.file", "''", "text that is not empty"),
    "models: {smollm2: {quantization: int8}}": ("smollm2.quantization", "unknown key", "precision"),
    f"models: {{x: {{{HUB.replace('a/b', 'b')}}}}}": ("models.x.repo", "'b'", "owner/name"),
    f"models: {{x: {{{HUB}, quantization: int4}}}}": ("x.quantization", "'int4'", "none | int8 | nf4"),
    f"models: {{x: {{{PATH}}}}}": ("models.x.width", "nothing", "integer >= 1"),
    scratch("nano_dense", ["intermediate_size"]): ("x.config.intermediate_size", "nothing", "integer >= 1"),
    scratch("nano_moe", ["num_experts"]): ("models.x.config.num_experts", "nothing", "integer >= 1"),
    scratch("nano_moe", intermediate_size=64): ("models.x.config", "mapping", "without intermediate_size"),
    scratch("nano_dense", head_dim=12): ("models.x.config.head_dim", "12", "a multiple of 8"),
    scratch("nano_dense", model_type="llama"): (
        "x.config.model_type",
        "'llama'",
        "qwen3_5_text | qwen3_5_moe",
    ),
    scratch("nano_dense").replace("vocabulary: 1024", "vocabulary: 299"): (
        "models.x.vocabulary",
        "299",
        "integer >= 300",
    ),
    scratch("nano_dense", hidden_size="wide"): ("models.x.config.hidden_size", "'wide'", "integer >= 1"),
}


@pytest.mark.parametrize("overlay", WRONG, ids=refusals.names(WRONG))
def test_a_wrong_key_is_one_line(folder, overlay):
    refusals.check(overlay, WRONG[overlay])


def test_a_model_is_of_the_kind_that_it_says():
    given = {"source": "hub", "repo": "a/b", "revision": HEX, "layers": 2, "width": 64}
    model = TypeAdapter(Model).validate_python(given)
    assert type(model) is HubModel
    assert (model.trained, model.precision, model.quantization) == (True, "fp32", "none")
    for kind in ("nano_dense", "nano_moe"):
        model = TypeAdapter(Model).validate_python(NANO[kind])
        assert type(model) is KINDS["scratch"] and not hasattr(model, "quantization")


def test_a_kind_is_called_by_what_its_source_must_be():
    for name, kind in KINDS.items():
        assert kind.model_fields["source"].annotation.__args__ == (name,)
