"""A model folder with one fault each: refused in a line that names it, or let pass where it does no harm."""

import json
import shutil
from pathlib import Path

import families as tests_families
import networks
import prepare_model
import pytest
import torch
from safetensors.torch import load_file, save_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import examining, families, loading
from implicit_sparsity.storage.model_folder import ModelFolder

ROWS = networks.LLAMA["vocab_size"]
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def place(nano, tmp_path):
    """A folder of one's own, as a user has it."""
    shutil.copytree(nano("llama")[0], tmp_path / "mine")
    (tmp_path / "mine" / "manifest.json").unlink()
    return tmp_path / "mine"


def examine(place) -> dict:
    return examining.examine(ModelFolder(place, "models/mine"))


def refused(place) -> str:
    with pytest.raises(InputError) as error:
        examine(place)
    assert str(error.value).startswith("models/mine") and "\n" not in str(error.value)
    return str(error.value).removeprefix("models/mine").lstrip(":/ ")


def with_weights(place, **changes):
    """The folder with these tensors instead; None takes one out."""
    tensors = load_file(place / "model.safetensors") | changes
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


def with_json(place, name, **changes):
    given = json.loads((place / name).read_text()) if (place / name).exists() else {}
    (place / name).write_text(json.dumps(given | changes))
    return place


def with_tokens(place, *texts):
    """The folder with these tokens added to its tokenizer, whose own pieces fill the embedding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
    spare = [f"<|spare_{i}|>" for i in range(ROWS - tokenizer.get_vocab_size())]
    tokenizer.add_special_tokens([*spare, *texts])
    tokenizer.save(str(place / "tokenizer.json"))
    return place


@pytest.mark.parametrize("kind", ["dense", "mixture", "llama"])
def test_what_the_manifest_keeps(nano, kind):
    record = examine(nano(kind)[0])
    stored = load_file(nano(kind)[0] / "model.safetensors")
    assert record["embedding_rows"] == ROWS and record["highest_token_id"] < ROWS
    assert record["positions"] == loading.configuration(nano(kind)[0]).max_position_embeddings
    assert (record["files"], record["tensors"], record["types"]) == (1, len(stored), ["F32"])
    assert record["finite"] is True
    assert not any(record[name] for name in ("zero", "unused", "left_out", "tokens_beyond_embedding"))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_passes(tmp_path, family):
    """In bfloat16, as they are published."""
    tests_families.network(family).to(torch.bfloat16).save_pretrained(tmp_path)
    networks.make_tokenizer(tmp_path)
    record = examine(tmp_path)
    assert record["types"] == ["BF16"] and not record["unused"] and not record["left_out"]


def test_the_users_folder_is_named_and_nothing_is_left(place, tmp_path):
    """Through the rule's own function, as a job runs it."""
    with_weights(place, **{UP: torch.full((64, 32), float("nan"))})
    base = {"source": "path", "path": str(place), "layers": 2, "width": 64}
    with pytest.raises(InputError) as error:
        prepare_model.prepare_model(str(tmp_path / "made"), "m", base)
    assert str(error.value) == f"{place}/model.safetensors: {UP}: has a value that is not finite (nan)"
    assert not list(tmp_path.glob("*made*"))


def test_a_learned_piece_without_a_row_is_refused_an_added_token_is_noted(place):
    """Which of them a study uses is asked where its texts are encoded (tests/corpora/test_encoding.py)."""
    assert examine(with_tokens(place, "<|user|>"))["tokens_beyond_embedding"] == ["<|user|>"]
    with_json(place, "added_tokens.json", **{"<|bot|>": ROWS + 1})
    assert examine(place)["tokens_beyond_embedding"] == ["<|user|>", "<|bot|>"]
    tokenizer = json.loads((place / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["river"] = ROWS + 7
    (place / "tokenizer.json").write_text(json.dumps(tokenizer))
    line = refused(place)
    assert line.startswith(
        f"tokenizer.json: model.vocab: has token ids up to {ROWS + 7}, the embedding {ROWS} rows"
    )


def test_a_tokenizer_smaller_than_the_embedding_is_fine(place):
    grown = torch.randn(ROWS + 64, 32)
    with_weights(
        with_json(place, "config.json", vocab_size=ROWS + 64), **{"model.embed_tokens.weight": grown}
    )
    assert examine(place)["embedding_rows"] == ROWS + 64


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"max_new_tokens": "x"}', '{"cache_implementation": "none"}', ""]
)
def test_generation_settings_that_cannot_be_read_do_no_harm(place, content):
    """transformers reads them as it loads a network, and some values make it fail there."""
    (place / "generation_config.json").write_text(content)
    examine(place)
    network = loading.load(place, device="cpu")
    loading.save(network, place / "saved", "fp32")


def test_generation_settings_that_can_be_read_stay(place):
    with_json(place, "generation_config.json", repetition_penalty=1.3, eos_token_id=[1, 2])
    assert examine(place)["left_out"] == {} and (place / "generation_config.json").exists()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({UP: None}, f"has no weights for {UP} (1 are missing)"),
        ({UP: torch.ones(2, 2)}, f"{UP}: has the shape [2, 2], and config.json makes it [64, 32] (1 differ)"),
        (
            {"model.embed_tokens.weight": torch.ones(300, 32)},
            "model.embed_tokens.weight: has the shape [300, 32], and config.json makes it [320, 32] (vocab",
        ),
        (
            {"model.layers.2.mlp.up_proj.weight": torch.ones(64, 32)},
            "model.layers.2.mlp.up_proj.weight: is stored, and config.json has no place for it (1 such",
        ),
        (
            {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)},
            "model.layers.0.self_attn.q_proj.bias: is stored, and config.json has no place for it",
        ),
        (
            {"lm_head.weight": torch.ones(ROWS, 32)},
            "config.json: tie_word_embeddings: is true, but lm_head.weight is stored and differs from",
        ),
        ({UP: torch.ones(64, 32).to(torch.float8_e4m3fn)}, f"model.safetensors: {UP}: is of type F8_E4M3"),
        ({UP: torch.ones(64, 32, dtype=torch.int8)}, f"model.safetensors: {UP}: is of type I8"),
    ],
)
def test_weights_that_are_not_the_configurations(place, changes, line):
    assert refused(with_weights(place, **changes)).startswith(line)


def test_weights_that_do_no_harm(place):
    """A head equal to the embedding it is tied to, rotary frequencies, a value head of another training."""
    embedding = load_file(place / "model.safetensors")["model.embed_tokens.weight"]
    more = {"lm_head.weight": embedding.clone(), "v_head.weight": torch.ones(1, 32)}
    more |= {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    assert examine(with_weights(place, **more))["unused"] == ["v_head.weight"]


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("config.json", {"num_hidden_layers": "two"}, "config.json: transformers cannot make this model: "),
        ("config.json", {"hidden_act": "none_such"}, "config.json: transformers cannot make this model: "),
        ("config.json", {"tie_word_embeddings": False}, "has no weights for lm_head.weight"),
        ("config.json", {"model_type": "no_such"}, "config.json: model_type: 'no_such' is no architecture"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "awq"}},
            "config.json: quantization_config: is",
        ),
        ("tokenizer.json", {"model": 3}, "tokenizer.json: is not a tokenizer, "),
    ],
)
def test_settings_of_which_no_model_can_be_made(place, name, changes, line):
    assert refused(with_json(place, name, **changes)).startswith(line)


def test_tokenizer_settings_that_are_no_settings(place):
    (place / "tokenizer_config.json").write_text("never mind")
    assert refused(place).startswith("tokenizer_config.json: is not JSON")
    for nonsense in ({"added_tokens_decoder": ["<a>"]}, {"added_tokens_decoder": {"x": 3}}):
        (place / "tokenizer_config.json").write_text(json.dumps(nonsense))
        assert refused(place).startswith("tokenizer.json: is not a tokenizer, with the settings beside it: ")
    (place / "tokenizer_config.json").unlink()
    (place / "tokenizer.json").write_bytes(b"version https://git-lfs\noid sha256:0\n")
    assert refused(place).startswith("tokenizer.json: is a pointer of Git LFS")


def test_an_unreadable_folder_is_one_line_wherever_it_comes_from(tmp_path):
    base = {"source": "path", "path": str(Path(__file__)), "layers": 2, "width": 64}
    with pytest.raises(InputError, match="is not a folder that can be read"):
        prepare_model.prepare_model(str(tmp_path / "made"), "m", base)
