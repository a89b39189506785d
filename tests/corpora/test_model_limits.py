"""What a model has no room for is refused where a study meets the model, before any network runs."""

import json

import networks
import pytest
from corpora_samples import record
from token_samples import OPTIONS, encoded

from implicit_sparsity.corpora.encoding import Encoder, Options
from implicit_sparsity.corpora.model_limits import Limits, of_model
from implicit_sparsity.errors import InputError

ROWS = networks.LLAMA["vocab_size"]


@pytest.fixture
def added(tmp_path):
    """A model whose tokenizer has two special tokens, and one that is none, beyond its 320 rows."""
    from tokenizers import AddedToken, Tokenizer

    networks.make_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    spare = [f"<|spare_{i}|>" for i in range(ROWS - tokenizer.get_vocab_size())]
    tokenizer.add_special_tokens([*spare, "<|user|>", "<|bot|>"])
    tokenizer.add_tokens([AddedToken("abracadabra", normalized=False)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": ROWS, "max_position_embeddings": 48}))
    return tmp_path


def options(max_length=48, **template):
    return Options(template, max_length, min_completion=8)


@pytest.mark.parametrize("part", ["before", "between", "after"])
def test_a_template_with_an_id_that_has_no_row(added, part):
    with pytest.raises(InputError) as error:
        Encoder(added / "tokenizer.json", options(**{part: "a<|bot|>"}))
    assert str(error.value).startswith(
        f"tokens.template.{part}: 'a<|bot|>' has the token id 321, the model's embedding 320 rows (ids 0 to"
    )


def test_tokens_that_never_occur_are_nobodys_concern(added):
    """A text that spells a special one has the characters' ids."""
    (added / "work").mkdir()
    spelled = record(1, prompt="river <|user|> lamp", completion="stone <|bot|>")
    template = {"before": "<|im_start|>", "after": "<|spare_0|>"}
    tokens = encoded(added / "work", added, [spelled], template=template, max_length=48)
    (document,) = tokens.split("train")
    assert len(document.ids) > 20 and document.ids.max() < ROWS and tokens.index["vocab_size"] == ROWS


def test_a_text_with_an_id_that_has_no_row_is_named(added):
    (added / "work").mkdir()
    records = [record(1, prompt="river"), record(2, prompt="abracadabra and lamp")]
    with pytest.raises(
        InputError, match=r"^the text that begins with 'abracadabra and lamp' has the token id 322"
    ):
        encoded(added / "work", added, records, template={}, max_length=48)


def test_documents_may_be_as_long_as_the_model_and_no_longer(added):
    assert Encoder(added / "tokenizer.json", options(48))
    with pytest.raises(InputError, match=r"^tokens.max_length: is 49, the model was made for 48 positions"):
        Encoder(added / "tokenizer.json", options(49))


def test_the_limit_of_a_model_whose_frequencies_change_says_why(added):
    scaled = {"rope_scaling": {"rope_type": "longrope"}, "original_max_position_embeddings": 24}
    (added / "config.json").write_text(
        json.dumps({"vocab_size": ROWS, "max_position_embeddings": 48} | scaled)
    )
    assert Encoder(added / "tokenizer.json", options(24))
    with pytest.raises(
        InputError, match=r"for 24 positions \(rope_type longrope: beyond, frequencies change"
    ):
        Encoder(added / "tokenizer.json", options(25))


def test_an_id_of_a_text_is_named_by_its_text():
    limits = Limits(None, ROWS)
    limits.check_ids([0, ROWS - 1], "it")
    limits.check_ids([], "it")
    with pytest.raises(InputError, match=r"^it has the token id 320, the model's embedding 320 rows"):
        limits.check_ids([3, ROWS], "it")


def test_a_folder_that_says_nothing_has_no_limit(tmp_path, model):
    """As the tests' own, which has a tokenizer and a manifest alone."""
    assert of_model(model) == Limits(None, None)
    assert len(
        encoded(tmp_path, model, [record(1, n_words=3)], max_length=OPTIONS["max_length"]).split("train")
    )
