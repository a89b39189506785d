"""Tokenizers of many kinds in a known state: no text is a control token, the same text has the same ids, what
can be read back is."""

import json
import random

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from implicit_sparsity.corpora import tokenizer
from implicit_sparsity.corpora.encoding import Encoder, Options
from implicit_sparsity.errors import InputError

CHARACTERS = [chr(c) for c in range(32, 127) if chr(c) != " "]
CHATML = {"before": "<|im_start|>user\n", "between": "<|im_end|>\n<|im_start|>", "after": "<|im_end|>"}
TEXTS = [
    "a river",
    "  two  blanks ",
    "half <|im_end|>\n<|im_start|>user",
    "</s><s>[INST] <0x0A> <|IM_END|>",
    "n\u00e9 \u200b\u4e2d",
]


def byte_level(**changes):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("r", "i"), ("v", "e"), ("ve", "r"), ("ri", "ver")]
    vocabulary = {name: i for i, name in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    made = Tokenizer(models.BPE(vocabulary, merges, **changes))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def sentencepiece(scheme="first"):
    """A BPE in the manner of llama: a blank before a text, bytes where a character is unknown."""
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    vocabulary = ["<unk>", "<s>", "</s>", *bytes_, "\u2581", *CHARACTERS, "ri", "\u2581ri"]
    merges = [("r", "i"), ("\u2581", "ri")]
    numbers = {name: i for i, name in enumerate(vocabulary)}
    made = Tokenizer(models.BPE(numbers, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    strip = [
        decoders.Replace("\u2581", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
    made.decoder = decoders.Sequence(strip)
    return made


def unigram():
    """Whose vocabulary has whole control tokens as pieces, which a text would be taken for."""
    bytes_ = [(f"<0x{i:02X}>", 0.0) for i in range(256)]
    pieces = [
        ("<unk>", 0.0),
        ("<s>", 0.0),
        ("</s>", 0.0),
        ("<|im_end|>", 0.0),
        ("<|im_start|>", 0.0),
        *bytes_,
    ]
    pieces += [(c, -5.0) for c in ["\u2581", *CHARACTERS]] + [("ri", -6.0), ("ver", -6.0)]
    made = Tokenizer(models.Unigram(pieces, 0, True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return made


KINDS = {"byte_level": byte_level, "sentencepiece": sentencepiece, "unigram": unigram}


def saved(folder, made, *added, beside=None, **model):
    """The path of its file, with ``added`` tokens, ``model`` changed and other files ``beside``."""
    for token in added:
        made.add_tokens([token])
    about = json.loads(made.to_str())
    about["model"] |= model
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(about))
    for name, content in (beside or {}).items():
        (folder / name).write_text(json.dumps(content))
    return path


def ids_of(known, text, opening=False):
    return known.encode([(text, opening)])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "flags", [{}, {"normalized": True}, {"lstrip": True, "rstrip": True}, {"special": True}]
)
def test_no_text_is_a_control_token_and_all_can_be_read_back(tmp_path, kind, flags):
    chat = [
        AddedToken(name, **{"special": False, **flags}) for name in ("<|im_start|>", "<|im_end|>", "[INST]")
    ]
    path = saved(tmp_path, KINDS[kind](), *chat)
    known = tokenizer.load(path, CHATML)
    numbers = [Tokenizer.from_file(str(path)).token_to_id(t.content) for t in chat]
    assert set(numbers) <= set(known.control)
    for text in TEXTS:
        for opening in (False, True):
            ids = ids_of(known, text, opening)
            assert not set(ids) & (set(known.control) - {known.unknown})
            assert known.is_exact(text, opening, ids), text
    assert known.encode_template("<|im_end|>") == [numbers[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_random_texts_with_control_tokens_in_pieces(tmp_path, kind):
    draw, known = (
        random.Random(0),
        tokenizer.load(saved(tmp_path, KINDS[kind](), AddedToken("<|im_end|>", special=False)), CHATML),
    )
    pieces = [
        "<|im_",
        "end|>",
        "<|im_end|>",
        "</s>",
        "<s",
        ">",
        "\n",
        " ",
        "river",
        "\u200b",
        "<0x0A>",
        "\u4e2d",
    ]
    for _ in range(200):
        text = "".join(draw.choices(pieces, k=6))
        ids = ids_of(known, text)
        assert not set(ids) & set(known.control) - {known.unknown} and known.is_exact(text, False, ids)


def test_dropout_truncation_and_padding_are_off(tmp_path):
    made = byte_level(dropout=0.9)
    made.enable_truncation(2)
    made.enable_padding(length=40)
    known = tokenizer.load(saved(tmp_path, made))
    merged = Tokenizer.from_str(byte_level().to_str()).encode("river river").ids
    assert {tuple(ids_of(known, "river river")) for _ in range(20)} == {tuple(merged)}
    assert len(known.encode_template("river")) == 1


def test_sampling_of_a_unigram_model_is_off(tmp_path):
    known = tokenizer.load(saved(tmp_path, unigram(), alpha=0.1, nbest_size=-1))
    assert len({tuple(ids_of(known, "river " * 9)) for _ in range(9)}) == 1


def test_tokens_of_the_vocabulary_alone(tmp_path):
    """``</s>`` is a piece of the model, and no added token."""
    known = tokenizer.load(saved(tmp_path, unigram()), {"after": "</s>"})
    assert known.control == [0, 1, 2, 3, 4] and known.encode_template("river</s>")[-1] == 2
    assert unigram().encode("</s>").ids[-1] == 2 and 2 not in ids_of(known, "</s>")


def test_a_vocabulary_that_merges_to_a_control_token(tmp_path):
    pieces = ["<", "e", ">", "<e", "<e>", "a"]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(pieces)}, [("<", "e"), ("<e", ">")]))
    made.decoder = decoders.Fuse()
    known = tokenizer.load(saved(tmp_path, made), {"after": "<e>"})
    assert known.encode_template("a<e>") == [5, 4] and ids_of(known, "a<e>") == [5, 3, 2]
    assert tokenizer.load(tmp_path / "tokenizer.json", {"after": ">"}).control == []


def test_tokens_that_only_the_config_beside_it_lists(tmp_path):
    free = byte_level().get_vocab_size()
    decoder = {str(free): {"content": "<|eot|>", "special": False}, "9999": {"content": "<|far|>"}}
    path = saved(tmp_path, byte_level(), beside={"tokenizer_config.json": {"added_tokens_decoder": decoder}})
    known = tokenizer.load(path, {"after": "<|eot|>"})
    assert known.control == [free] and known.encode_template("<|eot|>") == [free]
    assert free not in ids_of(known, "<|eot|>") and known.vocab_size == free + 1


def test_words_and_blanks_are_no_control_tokens_unless_the_template_has_them(tmp_path):
    path = saved(tmp_path, byte_level(), AddedToken("river", normalized=False), AddedToken("  "))
    known = tokenizer.load(path, CHATML)
    number = Tokenizer.from_file(str(path)).token_to_id("river")
    assert known.control == [] and ids_of(known, "river") == [number]
    used = tokenizer.load(path, {"before": "river  "})
    assert used.control == [number] and number not in ids_of(used, "river")
    assert used.is_exact("river", False, ids_of(used, "river"))


@pytest.mark.parametrize("special", [True, False])
def test_bytes_that_are_added_tokens_stay_bytes(tmp_path, special):
    """The line break of the template is one, and documents have it too."""
    path = saved(tmp_path, sentencepiece(), AddedToken("<0x0A>", special=special), AddedToken("<|im_end|>"))
    known = tokenizer.load(path, CHATML)
    number = Tokenizer.from_file(str(path)).token_to_id("<0x0A>")
    assert number not in known.control and ids_of(known, "\n") == [number]
    assert known.is_exact("a <0x0A>\n", False, ids_of(known, "a <0x0A>\n"))


def test_names_that_are_special_elsewhere(tmp_path):
    beside = {"special_tokens_map.json": {"eos_token": {"content": "### End"}}}
    path = saved(tmp_path, byte_level(), AddedToken("### End", special=False), beside=beside)
    assert len(tokenizer.load(path).control) == 1


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_a_part_has_no_stray_blank_and_the_beginning_has_the_tokenizers_own(tmp_path, scheme):
    path = saved(tmp_path, sentencepiece(scheme), AddedToken("<|im_end|>"))
    known, blank = tokenizer.load(path), Tokenizer.from_file(str(path)).token_to_id("\u2581ri")
    assert blank not in ids_of(known, "river") and (ids_of(known, "river", True)[0] == blank) == (
        scheme != "never"
    )
    records = [{"prompt": "river", "completion": "river", "choices": ["river"]}]
    for template, begins in (({}, [True, False]), ({"before": "[I]"}, [False, False])):
        (prompt, completion, (choice,), exact) = Encoder(path, Options(template, 64)).encode(records)[0]
        assert [prompt[0] == blank, completion[0] == blank] == [b and scheme != "never" for b in begins]
        assert choice == completion and exact
    alone = Encoder(path, Options({}, 64)).encode([records[0] | {"prompt": ""}])[0]
    assert (alone[1][0] == blank) == (scheme != "never") and alone[2] == [alone[1]]


def test_what_a_normalizer_changes_is_not_exact(tmp_path):
    made = byte_level()
    made.normalizer = normalizers.Lowercase()
    known = tokenizer.load(
        saved(tmp_path, made, AddedToken("<|im_end|>", normalized=True, special=False)), CHATML
    )
    assert known.is_exact("river", False, ids_of(known, "river"))
    evil = ids_of(known, "<|IM_END|>")
    assert not known.is_exact("<|IM_END|>", False, evil) and not set(evil) & set(known.control)
    assert len(known.encode_template("x<|im_end|>")) == 2


def word_piece():
    numbers = {name: i for i, name in enumerate(["[UNK]", "[SEP]", "river", "##s", "[", "]", "SE", "##P"])}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.WhitespaceSplit(), decoders.WordPiece()
    return made


def test_unknown_words_are_not_exact_and_no_end(tmp_path):
    known = tokenizer.load(saved(tmp_path, word_piece()), {"after": "[SEP]"})
    assert known.encode_template("[SEP]") == [1] and ids_of(known, "rivers") == [2, 3]
    assert 1 not in ids_of(known, "[SEP]") and not known.is_exact("[SEP]", False, ids_of(known, "[SEP]"))


def test_a_document_that_would_be_a_token_of_the_template_is_refused(tmp_path):
    """The unknown token ends a turn here, so no unknown character may stand in a document."""
    known = tokenizer.load(saved(tmp_path, word_piece()), {"after": "[UNK]"})
    with pytest.raises(
        InputError, match=r"^tokens\.template: the tokenizer takes a document's text for '\[UNK\]'$"
    ):
        ids_of(known, "stone")


def test_a_template_of_unknown_words_forbids_none(tmp_path):
    known = tokenizer.load(saved(tmp_path, word_piece()), {"before": "zzz", "after": "[SEP]"})
    assert known.encode_template("zzz") == ids_of(known, "stone") == [0]


@pytest.mark.parametrize(
    ("single", "config", "begins"),
    [
        ("<s> $A </s>", {}, True),
        ("<s> $A", {"add_bos_token": False, "bos_token": "<s>"}, False),
        ("$A </s>", {}, False),
        ("$A", {"add_bos_token": True, "bos_token": {"content": "<s>"}}, True),
        ("$A", {"bos_token": "<s>"}, False),
    ],
)
def test_what_the_tokenizer_puts_before_a_text_begins_every_document(tmp_path, single, config, begins):
    made = sentencepiece()
    made.post_processor = processors.TemplateProcessing(single, special_tokens=[("<s>", 1), ("</s>", 2)])
    made.enable_padding(direction="left", length=9, pad_token="</s>", pad_id=2)
    path = saved(tmp_path, made, beside={"tokenizer_config.json": config})
    for before, rest in (("", 0), ("<s>", 0), ("x", 2)):
        encoder = Encoder(path, Options({"before": before, "after": "</s>"}, 64))
        assert encoder.bos == [1] * begins and 1 in encoder.tokenizer.control
        assert encoder.before[:1] == [1] * (begins or before == "<s>") or before == "x"
        assert len(encoder.before) == (begins or before == "<s>") + rest and encoder.after == [2]


def test_no_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: is not a tokenizer"):
        tokenizer.load(tmp_path / "tokenizer.json")
