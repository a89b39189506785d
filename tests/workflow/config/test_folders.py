"""A model's own configuration against the study's lengths, before anything runs."""

import json

import pytest
import refusals

from implicit_sparsity.workflow.config.error import ConfigError
from implicit_sparsity.workflow.config.folders import check_folders, check_lengths

LLAMA = {"model_type": "llama", "max_position_embeddings": 48}
STUDY = {"tokens": {"max_length": 40, "min_completion": 8}}
STUDY |= {"evals": {"generate": ["math"], "generation_items": 2, "max_new_tokens": 16}}


@pytest.fixture
def study(tmp_path):
    """(settings of models.mine, changes to the study) -> the config, with the model's folder."""

    def make(settings, **sections):
        (tmp_path / "config.json").write_text(json.dumps(settings))
        changed = {name: STUDY[name] | sections.get(name, {}) for name in STUDY}
        return changed | {"models": {"mine": {"source": "path", "path": str(tmp_path)}}}

    return make


def lines(config) -> list[str]:
    with pytest.raises(ConfigError) as error:
        check_folders(config)
    return str(error.value).splitlines()


def test_what_fits_to_the_token(study):
    check_folders(study(LLAMA))
    check_folders(study(LLAMA, tokens={"max_length": 48}, evals={"max_new_tokens": 8}))
    check_folders(study(LLAMA, tokens={"max_length": 48}, evals={"max_new_tokens": 99, "generate": []}))
    check_folders(study({"model_type": "llama"}, tokens={"max_length": 10**6}))


def test_documents_longer_than_the_model(study):
    (line,) = lines(study(LLAMA, tokens={"max_length": 49}))
    assert line == (
        "tokens.max_length: found 49, allowed: integer <= 48, the positions of models.mine "
        "(max_position_embeddings)"
    )


def test_documents_longer_than_where_frequencies_change(study):
    dynamic = LLAMA | {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    check_folders(study(dynamic, tokens={"max_length": 48}, evals={"max_new_tokens": 8}))
    (line,) = lines(study(dynamic, tokens={"max_length": 49}))
    assert line.endswith(
        "integer <= 48, the positions of models.mine "
        "(rope_type dynamic: beyond, frequencies change with the longest document of a batch)"
    )


def test_answers_longer_than_the_model(study):
    (line,) = lines(study(LLAMA, evals={"max_new_tokens": 17}))
    assert line.startswith(
        "evals.max_new_tokens: found 17, after a prompt of up to 32 tokens, allowed: together"
    )


def test_a_folder_that_cannot_be_studied_and_one_that_is_too_short(study, tmp_path):
    """Both are told."""
    config = study(LLAMA, tokens={"max_length": 49})
    (tmp_path / "other").mkdir()
    awq = LLAMA | {"quantization_config": {"quant_method": "awq"}}
    (tmp_path / "other" / "config.json").write_text(json.dumps(awq))
    config["models"] |= {"other": {"source": "path", "path": str(tmp_path / "other")}}
    first, second = lines(config)
    assert first.startswith("tokens.max_length")
    assert second.startswith(
        f"models.other.path: found {tmp_path}/other/config.json: quantization_config: is quan"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adapter_config.json", "has no config.json (an adapter"),
        ("Config.json", "it has Config.json: case counts"),
    ],
)
def test_a_folder_without_config_says_what_it_has(tmp_path, name, words):
    (tmp_path / name).write_text("{}")
    config = STUDY | {"models": {"mine": {"source": "path", "path": str(tmp_path)}}}
    (line,) = lines(config)
    assert line.startswith(f"models.mine.path: found {tmp_path}: ") and words in line


def test_of_a_model_from_scratch_the_training_too():
    scratch = {"source": "scratch", "config": LLAMA, "pretraining": {"max_length": 64}}
    with pytest.raises(
        ConfigError, match=r"^models.mine.pretraining.max_length: found 64, allowed: integer <= 48"
    ):
        check_lengths("mine", LLAMA, STUDY | {"models": {"mine": scratch}})


def test_through_the_config_files(folder):
    """As `snakemake -n` reads them; the file is named that has the length."""
    (folder / "short").mkdir()
    (folder / "short/config.json").write_text(json.dumps(LLAMA))
    overlay = "models: {mine: {source: path, path: short, layers: 2, width: 64}}\ntokens: {max_length: 64}"
    refusals.check(overlay, ("tokens.max_length", "64", "integer <= 48, the positions of models.mine"))
