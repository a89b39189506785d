"""Splits into shards: as many as asked for, laid out as documented, an index that says of what."""

import hashlib
import json

import numpy as np
import pytest
from corpora_samples import record
from token_samples import OPTIONS, encoded, write

from implicit_sparsity.corpora import shards
from implicit_sparsity.errors import InputError


def test_index(tmp_path, model):
    tokens = encoded(tmp_path, model, [record(i, n_words=5) for i in range(7)])
    index = tokens.index
    digest = hashlib.sha256((model / "tokenizer.json").read_bytes()).hexdigest()
    assert index["tokenizer"] == {"name": "nano", "revision": "abc", "sha256": digest}
    assert index["special_ids"] == [0, 1, 2, 3] and index["dtype"] == "uint32"
    assert index["splits"]["train"]["shard_documents"] == [2, 2, 3]
    assert isinstance(tokens.split("train")[0].ids.base, np.memmap)


def test_choices_are_the_ids_the_completion_has(tmp_path, model):
    r = record(1, n_words=5, completion="bara cete", choices=["dili", "bara cete"], answer="bara cete")
    document = encoded(tmp_path, model, [r]).split("train")[0]
    assert document.meta["correct"] == 1 and document.meta["answer"] == "bara cete"
    assert [*document.meta["choices"][1], 3] == document.ids[~document.prompt].tolist()
    assert document.meta["baselines"]["chance"] == 1 / 2 and document.meta["baselines"]["longest"] == 1
    math = record(2, n_words=5, completion="x\n#### 7", choices=["x\n#### 7", "y"], answer="7", correct=0)
    meta = encoded(tmp_path, model, [math]).split("train")[0].meta
    assert meta["correct"] == 0 and meta["answer"] == "7"


def test_more_shards_than_documents(tmp_path, model):
    tokens = encoded(tmp_path, model, [record(1, n_words=4), record(2, n_words=4)], shards=5)
    assert tokens.index["splits"]["train"]["shard_documents"] == [0, 0, 1, 0, 1]
    assert len(list((tmp_path / "tokens" / "train").glob("*.tokens.bin"))) == 5
    assert [d.meta["id"] for d in tokens.split("train")] == ["one:1", "one:2"]
    empty = encoded(tmp_path, model, [])
    assert len(empty.split("train")) == 0 and empty.split("train").lengths.tolist() == []


def test_same_bytes_twice(tmp_path, model):
    records = [record(i, n_words=9) for i in range(30)]
    runs = []
    for _ in range(2):
        encoded(tmp_path, model, records)
        runs.append({p: p.read_bytes() for p in (tmp_path / "tokens").rglob("*") if p.is_file()})
    assert runs[0] == runs[1]


def test_a_folder_without_tokenizer(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        encoded(tmp_path, tmp_path / "model", [record(1)])
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is not a tokenizer"):
        encoded(tmp_path, tmp_path / "model", [record(1)])


def test_a_shard_is_read_with_numpy_alone(tmp_path, model):
    """Against the layout that tokens.py documents, byte for byte."""
    encoded(tmp_path, model, [record(i, n_words=5) for i in range(7)])
    folder, entry = tmp_path / "tokens" / "train", read(tmp_path)["splits"]["train"]
    lines = [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"one:{i}" for i in range(7)]
    place = 0
    for number, count in enumerate([2, 2, 3]):
        ids, offsets, prompt = (
            np.fromfile(folder / f"shard-{number:05d}.{part}.bin", dtype)
            for part, dtype in (("tokens", "<u4"), ("offsets", "<u8"), ("prompt", "u1"))
        )
        assert len(ids) == len(prompt) == entry["shard_tokens"][number] == offsets[-1]
        assert np.diff(offsets).tolist() == [line["tokens"] for line in lines[place : place + count]]
        assert (ids[offsets[:-1]] == 1).all() and (ids[offsets[1:] - 1] == 3).all()
        assert set(prompt.tolist()) == {0, 1} and not prompt[offsets[1:] - 1].any()
        place += count
    assert entry["documents"] == place and entry["tokens"] == sum(line["tokens"] for line in lines)
    sums = {name: total for files in (*entry["shards"], entry["meta"]) for name, total in files.items()}
    assert sums == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def read(tmp_path):
    return json.loads((tmp_path / "tokens" / "index.json").read_text())


def test_a_model_without_a_manifest_is_named_after_its_folder(tmp_path, model):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    write(tmp_path / "splits", train=[record(1)], eval=[])
    index = shards.tokenize(tmp_path / "tokens", tmp_path / "bare", tmp_path / "splits", OPTIONS)
    assert index == read(tmp_path)
    assert (index["tokenizer"]["name"], index["tokenizer"]["revision"]) == ("bare", None)
    assert {name: split["documents"] for name, split in index["splits"].items()} == {"train": 1, "eval": 0}


def test_choices_go_to_their_own_documents(tmp_path, model):
    """All are encoded in one batch, and a document may have none or any number."""
    texts = [["ra te", "li"], [], ["no", "mu", "sa"]]
    records = [
        record(i, n_words=3, **({"choices": c, "answer": c[-1], "completion": c[-1]} if c else {}))
        for i, c in enumerate(texts)
    ]
    documents = list(encoded(tmp_path, model, records).split("train"))
    for document, choices in zip(documents, texts):
        meta = document.meta
        assert len(meta.get("choices", [])) == len(choices) and ("correct" in meta) == bool(choices)
        if choices:
            assert meta["correct"] == len(choices) - 1
            assert [*meta["choices"][-1], 3] == document.ids[~document.prompt].tolist()


def test_more_cut_documents_than_allowed_are_one_line(tmp_path, model, caplog):
    """Two of eight are cut: at a quarter a warning, below it a refusal, before a folder is made."""
    records = [record(i, n_words=200 if i < 2 else 5) for i in range(8)]
    encoded(tmp_path, model, records, cut_at_most=0.25)
    (line,) = [r.getMessage() for r in caplog.records if r.name == shards.__name__]
    expected = "2 of 8 documents are cut at 64 tokens, 0 of them lose the end of the completion"
    assert line == f"{tmp_path.name}: train: {expected}"
    other = tmp_path / "medical"
    other.mkdir()
    with pytest.raises(InputError) as caught:
        encoded(other, model, records, cut_at_most=0.2)
    assert str(caught.value).startswith(
        "tokens.cut_at_most: medical: train: 0.25 of the documents are cut at 64 tokens, more than 0.2: raise"
    )
    assert not (other / "tokens").exists()
    encoded(other, model, records, cut_at_most=0, on_long="drop")
    caplog.clear()
    encoded(other, model, records[2:], cut_at_most=0)
    assert not [r for r in caplog.records if r.name == shards.__name__]


def test_what_cannot_be_encoded_leaves_no_folder(tmp_path, model):
    (tmp_path / "splits").mkdir()
    with pytest.raises(InputError, match=rf"^{tmp_path}/splits: holds no split$"):
        shards.tokenize(tmp_path / "tokens", model, tmp_path / "splits", OPTIONS)
    with pytest.raises(InputError, match=r"^tokens: got an unexpected keyword argument 'lenght'$"):
        encoded(tmp_path, model, [record(1)], lenght=3)
    assert not (tmp_path / "tokens").exists()


def own_tokenizer(folder, model, change, **beside):
    """The model's folder with its tokenizer.json changed, and other files beside it."""
    folder.mkdir()
    about = json.loads((model / "tokenizer.json").read_text())
    change(about)
    (folder / "tokenizer.json").write_text(json.dumps(about))
    for name, content in beside.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def begin_with_pad(about):
    about["added_tokens"][0]["content"] = "<|begin|>"
    about["model"]["vocab"] = {
        n.replace("<|pad|>", "<|begin|>"): i for n, i in about["model"]["vocab"].items()
    }
    about["post_processor"]["special_tokens"] = {
        "<|pad|>": {"id": "<|pad|>", "ids": [0], "tokens": ["<|begin|>"]}
    }


def test_what_the_tokenizer_puts_before_a_text_is_prompt_in_every_document(tmp_path, model, caplog):
    caplog.set_level("INFO")
    folder = own_tokenizer(tmp_path / "own", model, begin_with_pad)
    r = record(1, n_words=3, completion="bara", choices=["bara", "dili"], answer="bara")
    tokens = encoded(tmp_path, folder, [r])
    (document,) = tokens.split("train")
    assert document.ids[:2].tolist() == [0, 1] and document.prompt[:2].all() and 0 not in document.ids[1:]
    assert all(0 not in choice for choice in document.meta["choices"])
    assert tokens.index["bos_ids"] == [0] and tokens.index["template_tokens"]["before"] == 2
    assert tokens.index["stop_ids"] == [3] and "<|begin|> stands before every document" in caplog.text


def test_a_chat_template_that_begins_with_a_token_that_nothing_adds(tmp_path, model, caplog):
    config = {"bos_token": "<|bot|>", "add_bos_token": False, "chat_template": "{{ bos_token }}"}
    folder = own_tokenizer(tmp_path / "own", model, lambda about: None, tokenizer_config=config)
    for before, warned in (("<|user|>", True), ("<|bot|><|user|>", False)):
        caplog.clear()
        template = OPTIONS["template"] | {"before": before}
        encoded(tmp_path, folder, [record(1, n_words=3)], template=template)
        assert ("writes bos_token, <|bot|>" in caplog.text) == warned


def test_texts_that_do_not_come_back_and_ends_inside_them_are_counted(tmp_path, model, caplog):
    def lower(about):
        about["normalizer"] = {"type": "Lowercase"}

    folder = own_tokenizer(tmp_path / "own", model, lower)
    records = [
        record(i, n_words=3, completion=text) for i, text in enumerate(("Bara", "bara\nEND", "dili", "END x"))
    ]
    template = OPTIONS["template"] | {"after": "\nEND"}
    entry = encoded(tmp_path, folder, records, template=template).index["splits"]["train"]
    assert (entry["texts_changed"], entry["ends_inside"]) == (3, 1)
    assert (
        "3 of 4 documents have text" in caplog.text
        and "1 of 4 completions have '\\nEND' inside" in caplog.text
    )
    entry = encoded(tmp_path, model, records).index["splits"]["train"]
    assert (entry["texts_changed"], entry["ends_inside"]) == (0, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer_config", [], r"tokenizer_config\.json: is no JSON object"),
        ("tokenizer_config", {"added_tokens_decoder": {"x": {}}}, "tokens in a form that is not known"),
        ("added_tokens", {"<|a|>": "b"}, "tokens in a form that is not known"),
    ],
)
def test_files_beside_a_tokenizer_that_say_nothing(tmp_path, model, name, content, message):
    folder = own_tokenizer(tmp_path / "own", model, lambda about: None, **{name: content})
    with pytest.raises(InputError, match=message):
        encoded(tmp_path, folder, [record(1)])
