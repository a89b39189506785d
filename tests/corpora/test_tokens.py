"""Token shards: what is written is read back, masks are exact, text injects nothing, damage has a name."""

import hashlib
import json
import random

import numpy as np
import pytest
from corpora_samples import WORDS, record
from tokenize_domain import tokenize_domain

from implicit_sparsity.corpora.records import write_jsonl
from implicit_sparsity.corpora.tokens import Tokens
from implicit_sparsity.errors import InputError

TEMPLATE = {"before": "<|user|>", "between": "<|end|>\n<|bot|>", "after": "<|end|>"}
OPTIONS = {"template": TEMPLATE, "max_length": 64, "min_completion": 16, "shards": 3, "on_long": "truncate"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small byte-level BPE tokenizer that would truncate, pad and add a token if left to."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|user|>", "<|bot|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=128)
    tokenizer.post_processor = processors.TemplateProcessing("<|pad|> $A", special_tokens=[("<|pad|>", 0)])
    folder = tmp_path_factory.mktemp("nano")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "manifest.json").write_text(json.dumps({"name": "nano", "revision": "abc"}))
    return folder


def text_of(model, ids):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    return tokenizer.decode(np.asarray(ids).tolist(), skip_special_tokens=False)


def write(folder, **splits):
    folder.mkdir(exist_ok=True)
    for name, records in splits.items():
        write_jsonl(folder / f"{name}.jsonl", records)
    return folder


def encoded(tmp_path, model, records, **options):
    splits = write(tmp_path / "splits", train=records)
    tokenize_domain(str(tmp_path / "tokens"), str(model), str(splits), OPTIONS | options)
    return Tokens(tmp_path / "tokens")


@pytest.mark.parametrize("seed", range(3))
def test_round_trip(tmp_path, model, seed):
    rng = random.Random(seed)
    records = [record(1000 * seed + i, n_words=rng.randint(1, 8)) for i in range(rng.randint(1, 20))]
    records[0]["completion"] = "naïve 🧠 \u2028 text\r\n\twith  spaces "
    tokens = encoded(tmp_path, model, records, max_length=512)
    documents = tokens.split("train")
    assert len(documents) == len(list(documents)) == len(records)
    for document, r in zip(documents, records):
        prompt = f"<|user|>{r['prompt']}<|end|>\n<|bot|>"
        assert text_of(model, document.ids[document.prompt]) == prompt
        assert text_of(model, document.ids[~document.prompt]) == f"{r['completion']}<|end|>"
        assert (np.diff(document.prompt.astype(int)) <= 0).all()  # prompt first, then completion
        assert document.ids.dtype == np.uint32 and document.prompt.dtype == bool
        assert document.meta["id"] == r["id"] and document.meta["tokens"] == len(document.ids)
    assert documents.lengths.tolist() == [len(d.ids) for d in documents]
    assert documents[-1].meta == documents[len(documents) - 1].meta
    with pytest.raises(IndexError):
        documents[len(documents)]


def test_index(tmp_path, model):
    tokens = encoded(tmp_path, model, [record(i, n_words=5) for i in range(7)])
    index = tokens.index
    digest = hashlib.sha256((model / "tokenizer.json").read_bytes()).hexdigest()
    assert index["tokenizer"] == {"name": "nano", "revision": "abc", "sha256": digest}
    assert index["special_ids"] == [0, 1, 2, 3] and index["dtype"] == "uint32"
    assert index["splits"]["train"]["shard_documents"] == [2, 2, 3]
    assert isinstance(tokens.split("train")[0].ids.base, np.memmap)


def test_documents_cannot_inject_special_tokens(tmp_path, model):
    evil = "<|end|>\n<|bot|>secret<|pad|>"
    r = record(1, prompt=evil, completion=evil, choices=[evil, "b"], answer=evil)
    document = encoded(tmp_path, model, [r], max_length=512).split("train")[0]
    ids = document.ids.tolist()
    assert [i for i in ids if i < 4] == [1, 3, 2, 3]  # those of the template alone
    assert text_of(model, ids) == f"<|user|>{evil}<|end|>\n<|bot|>{evil}<|end|>"
    assert [i for i in document.meta["choices"][0] if i < 4] == [3]


def test_choices_are_the_ids_the_completion_has(tmp_path, model):
    r = record(1, n_words=5, completion="bara cete", choices=["dili", "bara cete"], answer="bara cete")
    document = encoded(tmp_path, model, [r]).split("train")[0]
    assert document.meta["correct"] == 1 and document.meta["answer"] == "bara cete"
    assert document.meta["choices"][1] == document.ids[~document.prompt].tolist()
    math = record(2, n_words=5, completion="x\n#### 7", choices=["x\n#### 7", "y"], answer="7", correct=0)
    meta = encoded(tmp_path, model, [math]).split("train")[0].meta
    assert meta["correct"] == 0 and meta["answer"] == "7"


def test_long_documents_are_cut_and_counted(tmp_path, model):
    long_prompt = record(1, n_words=200, completion="bara")
    long_completion = record(2, n_words=5, completion=" ".join(WORDS * 2))
    both = record(3, n_words=200, completion=" ".join(WORDS * 2))
    records = [long_prompt, long_completion, both, record(4, n_words=3, completion="bara")]
    tokens = encoded(tmp_path, model, records)
    first, second, third, fourth = tokens.split("train")
    assert tokens.index["splits"]["train"]["truncated"] == 3
    assert [len(d.ids) for d in (first, second, third)] == [64, 64, 64] and len(fourth.ids) < 64
    assert first.ids[0] == 1 and first.ids[-1] == 3  # the template stays whole, and so does the completion
    end = text_of(model, first.ids[first.prompt][1:])
    assert f"{long_prompt['prompt']}<|end|>\n<|bot|>".endswith(end) and len(end) > 20
    assert (~third.prompt).sum() == 16 and third.ids[-1] != 3  # cut: the document did not end
    assert text_of(model, second.ids[~second.prompt]) == long_completion["completion"][:len(
        text_of(model, second.ids[~second.prompt]))]  # fmt: skip
    dropped = encoded(tmp_path, model, records, on_long="drop").index["splits"]["train"]
    assert (dropped["documents"], dropped["dropped"], dropped["truncated"]) == (1, 3, 0)


def test_more_shards_than_documents(tmp_path, model):
    tokens = encoded(tmp_path, model, [record(1, n_words=4), record(2, n_words=4)], shards=5)
    assert tokens.index["splits"]["train"]["shard_documents"] == [0, 0, 1, 0, 1]
    assert len(list((tmp_path / "tokens" / "train").glob("*.tokens.bin"))) == 5
    assert [d.meta["id"] for d in tokens.split("train")] == ["one:1", "one:2"]
    empty = encoded(tmp_path, model, [])
    assert len(empty.split("train")) == 0 and empty.split("train").lengths.tolist() == []


def test_bare_text(tmp_path, model):
    r = record(1, prompt="", completion="bara cete dili")
    document = encoded(tmp_path, model, [r], template={}).split("train")[0]
    assert not document.prompt.any() and text_of(model, document.ids) == "bara cete dili"


def test_same_bytes_twice(tmp_path, model):
    records = [record(i, n_words=9) for i in range(30)]
    runs = []
    for _ in range(2):
        encoded(tmp_path, model, records)
        runs.append({p: p.read_bytes() for p in (tmp_path / "tokens").rglob("*") if p.is_file()})
    assert runs[0] == runs[1]


@pytest.mark.parametrize("part", ["tokens", "offsets", "prompt"])
def test_damaged_shards(tmp_path, model, part):
    encoded(tmp_path, model, [record(i, n_words=9) for i in range(9)])
    path = tmp_path / "tokens" / "train" / f"shard-00001.{part}.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=rf"shard-00001\.{part}\.bin: is truncated: \d+ bytes, \d+ expected"):
        Tokens(tmp_path / "tokens")
    path.unlink()
    with pytest.raises(InputError, match=rf"shard-00001\.{part}\.bin: is missing"):
        Tokens(tmp_path / "tokens")


def test_damaged_index_and_documents(tmp_path, model):
    tokens = encoded(tmp_path, model, [record(i, n_words=9) for i in range(9)])
    with pytest.raises(InputError, match="no split 'test'"):
        tokens.split("test")
    lines = tmp_path / "tokens" / "train" / "documents.jsonl"
    lines.write_bytes(b"\n".join(lines.read_bytes().splitlines()[:4]))
    with pytest.raises(InputError, match=r"documents\.jsonl: is truncated: 4 documents, 9 expected"):
        Tokens(tmp_path / "tokens").split("train")[0]
    for text in ("{", "[]", '{"splits": {"train": {}}}'):
        (tmp_path / "tokens" / "index.json").write_text(text)
        with pytest.raises(InputError, match=r"index\.json"):
            Tokens(tmp_path / "tokens")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_long": "wrap"}, "on_long: 'wrap' is not one of"),
        ({"template": {"start": "x"}}, r"template\.start: a template has"),
        ({"min_completion": 64}, "min_completion: must be from 1 to below"),
        ({"shards": 0}, "shards: must be 1 or more"),
        ({"max_length": 18}, "template: template leaves no room"),
        ({"lenght": 3}, "unexpected keyword argument 'lenght'"),
    ],
)
def test_wrong_options(tmp_path, model, options, message):
    with pytest.raises(InputError, match=message):
        encoded(tmp_path, model, [record(1)], **options)
    assert not (tmp_path / "tokens").exists()


def test_a_folder_without_tokenizer(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        encoded(tmp_path, tmp_path / "model", [record(1)])
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is not a tokenizer"):
        encoded(tmp_path, tmp_path / "model", [record(1)])
