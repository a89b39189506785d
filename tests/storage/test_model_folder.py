"""What a model's config.json and the names of its files say, and refuse, without any library of models."""

import json
import os

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage import model_folder
from implicit_sparsity.storage.model_folder import ModelFolder

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 320}
LFS = b"version https://git-lfs\noid sha256:0\nsize 5\n"


def folder(tmp_path, config=CONFIG, **files) -> ModelFolder:
    """A folder with these files: text, bytes, or what is written as JSON."""
    files = {"config.json": config, "tokenizer.json": {}} | {
        n.replace("__", "."): v for n, v in files.items()
    }
    for name, content in files.items():
        content = json.dumps(content) if isinstance(content, dict | list) else content
        content = content.encode() if isinstance(content, str) else content
        if content is not None:
            (tmp_path / name).write_bytes(content)
    return ModelFolder(tmp_path, "models/mine")


def refused(tmp_path, config=CONFIG, **files) -> str:
    with pytest.raises(InputError) as error:
        folder(tmp_path, config, **files).config()
    assert str(error.value).startswith("models/mine") and "\n" not in str(error.value)
    return str(error.value).removeprefix("models/mine").lstrip(":/ ")


def test_a_plain_folder_is_read(tmp_path):
    assert folder(tmp_path).config() == CONFIG


@pytest.mark.parametrize(
    ("about", "word"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "fp8", "weight_block_size": [16, 16]}, "fp8"),
        ({"quant_method": "compressed-tensors", "config_groups": {}}, "compressed-tensors"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"load_in_4bit": True}, "4 bits"),
        ({}, "no method"),
    ],
)
@pytest.mark.parametrize("place", ["quantization_config", "compression_config", "quantization"])
def test_what_others_quantized_is_refused_by_its_method(tmp_path, about, word, place):
    for config in (CONFIG | {place: about}, CONFIG | {"text_config": {place: about}}):
        line = refused(tmp_path, config)
        assert line.startswith(f"config.json: {place}: is quantized ({word}")


def test_no_quantization_is_none(tmp_path):
    assert folder(tmp_path, CONFIG | {"quantization_config": None}).config()


def test_the_files_of_a_quantized_checkpoint_say_so_too(tmp_path):
    assert refused(tmp_path, hf_quant_config__json={}).startswith(
        "hf_quant_config.json: a study needs weights"
    )


def test_code_of_a_repositorys_own_is_refused(tmp_path):
    mine = {"AutoConfig": "c.Mine", "AutoModelForCausalLM": "modeling_mine.MineForCausalLM"}
    line = refused(tmp_path, CONFIG | {"auto_map": mine})
    assert line.startswith(
        "config.json: auto_map: modeling_mine.MineForCausalLM is code of the repository's own"
    )
    assert "auto_map" in refused(tmp_path, CONFIG | {"auto_map": "modeling_mine.Mine"})


def test_code_that_transformers_took_over_says_nothing(tmp_path):
    """As the published Phi-3 and DeepSeek-V3 have it, and a tokenizer's code, which nobody reads."""
    ours = {
        "AutoModel": "modeling_v3.DeepseekV3Model",
        "AutoModelForCausalLM": "modeling_v3.DeepseekV3ForCausalLM",
    }
    assert folder(tmp_path, CONFIG | {"model_type": "deepseek_v3", "auto_map": ours}).config()
    ours = {"AutoModelForCausalLM": "modeling_ernie.Ernie4_5_MoeForCausalLM"}
    assert folder(tmp_path, CONFIG | {"model_type": "ernie4_5_moe", "auto_map": ours}).config()
    assert folder(tmp_path, CONFIG | {"auto_map": {"AutoTokenizer": ["mine.Tokenizer", None]}}).config()


@pytest.mark.parametrize(
    "name", ["LlamaForSequenceClassification", "LlamaForTokenClassification", "XForRewardModel"]
)
def test_what_is_no_language_model_is_refused(tmp_path, name):
    assert refused(tmp_path, CONFIG | {"architectures": [name]}) == (
        f"config.json: architectures: {name} is no language model"
    )


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "LlamaModel", "Qwen3_5ForConditionalGeneration"])
def test_what_is_one_is_not(tmp_path, name):
    assert folder(tmp_path, CONFIG | {"architectures": [name]}).config()


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {"config__json": None, "Config__json": "{}"},
            "has no config.json (it has Config.json: case counts)",
        ),
        ({"config__json": None, "adapter_config__json": "{}"}, "has no config.json (an adapter: "),
        ({"config__json": None, "m__gguf": "x"}, "has no config.json (a GGUF file"),
        ({"config__json": "{"}, "config.json: is not JSON"),
        ({"config__json": "[1]"}, "config.json: is not a JSON object"),
        ({"config__json": ""}, "config.json: is empty"),
        ({"config__json": b"\xff\xfe{}"}, "config.json: is not JSON"),
        ({"config__json": "[" * 100_000}, "config.json: is not JSON"),
        (
            {"config__json": LFS},
            "config.json: is a pointer of Git LFS, not the file itself: run `git lfs pull`",
        ),
        ({"tokenizer__json": None, "tokenizer__model": "x"}, "has no tokenizer.json (only tokenizer.model"),
        ({"tokenizer__json": None}, "has no tokenizer.json"),
    ],
)
def test_a_file_that_is_missing_or_nothing_of_the_kind(tmp_path, files, line):
    assert refused(tmp_path, **files).startswith(line)


def test_links_and_folders_in_a_files_place(tmp_path):
    given = folder(tmp_path, config__json=None)
    (tmp_path / "config.json").symlink_to("../blobs/1234")
    with pytest.raises(
        InputError, match=r"models/mine/config.json: is a link to \.\./blobs/1234, which is not"
    ):
        given.config()
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(InputError, match=r"models/mine/config.json: cannot be read"):
        given.config()
    with pytest.raises(InputError, match=r"is not a folder that can be read: Not a directory"):
        ModelFolder(tmp_path / "tokenizer.json").config()
    with pytest.raises(InputError, match=r"is not a folder that can be read: No such file"):
        ModelFolder(tmp_path / os.urandom(4).hex()).config()


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
LONGROPE = {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.1]}}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 48}, 48),
        ({"text_config": {"max_position_embeddings": 48}}, 48),
        ({"max_position_embeddings": 32768, "sliding_window": 4096}, 32768),
        ({"max_position_embeddings": 40960, "rope_scaling": YARN}, 131072),  # as Qwen3's card adds it
        ({"max_position_embeddings": 131072, "rope_scaling": LLAMA3}, 131072),  # as Llama 3.1 is published
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 2}}, 8192),
        ({"max_position_embeddings": 4096, "rope_scaling": None}, 4096),
        (
            {"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "default", "rope_theta": 1.0}},
            4096,
        ),
        (
            {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096} | LONGROPE,
            4096,
        ),  # Phi-3
        ({"max_position_embeddings": 131072} | LONGROPE, 131072),  # without an original length never beyond
        (
            {
                "max_position_embeddings": 131072,
                "rope_parameters": {
                    "rope_type": "longrope",
                    "factor": 32.0,
                    "original_max_position_embeddings": 8192,
                },
            },
            8192,
        ),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, 4096),
        (  # only one kind of layer switches
            {
                "max_position_embeddings": 1024,
                "rope_parameters": {
                    "sliding_attention": {"rope_type": "dynamic", "factor": 8.0},
                    "full_attention": {"rope_type": "linear", "factor": 8.0},
                },
            },
            1024,
        ),
        (  # one scaling a kind of layer
            {
                "max_position_embeddings": 1024,
                "rope_parameters": {
                    "sliding_attention": {"rope_type": "default"},
                    "full_attention": {"rope_type": "linear", "factor": 8.0},
                },
            },
            8192,
        ),
        ({}, None),
        ({"max_position_embeddings": None}, None),
        ({"max_position_embeddings": "many"}, None),
    ],
)
def test_positions(config, expected):
    assert model_folder.positions(config) == expected


def test_what_positions_are_by():
    assert (
        model_folder.bound({"max_position_embeddings": 48, "rope_scaling": YARN}) == "max_position_embeddings"
    )
    assert model_folder.bound({"text_config": LONGROPE}) == (
        "rope_type longrope: beyond, frequencies change with the longest document of a batch"
    )


def test_limits_are_the_manifests_then_the_configs(tmp_path):
    given = {"max_position_embeddings": 48} | CONFIG
    assert model_folder.limits(folder(tmp_path, given).path) == (48, 320)
    folder(tmp_path, given, manifest__json={"examined": {"positions": 2048, "embedding_rows": 321}})
    assert model_folder.limits(tmp_path) == (2048, 321)
    (tmp_path / "bare").mkdir()
    assert model_folder.limits(tmp_path / "bare") == (None, None)
