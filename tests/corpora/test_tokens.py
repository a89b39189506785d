"""Token shards: what is written is read back, masks are exact, damage has a name."""

import random

import numpy as np
import pytest
from corpora_samples import record
from token_samples import TEMPLATE, encoded, text_of

from implicit_sparsity.corpora.tokens import CONTENT, FIRST, PROMPT, STOP, Document, Tokens
from implicit_sparsity.errors import InputError


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


@pytest.mark.parametrize(
    ("template", "cut", "end"),
    [(TEMPLATE, 64, [STOP]), (TEMPLATE | {"after": "<|end|><|end|>"}, 64, [STOP] * 2), (TEMPLATE, 20, [])],
)
def test_parts_of_documents(tmp_path, model, template, cut, end):
    """From the shards: the template's ``after`` is there, has two tokens, or is cut off."""
    words = "bara cete dili bara cete dili bara cete dili bara cete dili bara cete dili"
    r = record(1, prompt="bara", completion=words)
    document = encoded(tmp_path, model, [r], template=template, max_length=cut).split("train")[0]
    prompt = int(document.prompt.sum())
    inner = len(document.ids) - prompt - 1 - len(end)
    assert document.meta["stop"] == len(end) and inner > 1
    assert document.parts.tolist() == [PROMPT] * prompt + [FIRST] + [CONTENT] * inner + end
    stops = document.ids[document.parts == STOP].tolist()
    assert stops == [3] * len(end) and 3 not in document.ids[document.parts == CONTENT]


@pytest.mark.parametrize(
    ("prompt", "meta", "parts"),
    [
        ([1, 1, 0, 0, 0], {"stop": 1}, [PROMPT, PROMPT, FIRST, CONTENT, STOP]),
        ([1, 1, 0], {"stop": 1}, [PROMPT, PROMPT, STOP]),  # a completion of nothing but its end
        ([1, 0, 0], {"stop": 0}, [PROMPT, FIRST, CONTENT]),
        ([0, 0, 0], {}, [FIRST, CONTENT, CONTENT]),  # bare text
        ([1, 1], {}, [PROMPT, PROMPT]),
    ],
)
def test_parts_of_a_document(prompt, meta, parts):
    document = Document(np.arange(len(prompt), dtype=np.uint32), np.array(prompt, bool), meta)
    assert document.parts.tolist() == parts and document.parts.dtype == np.uint8


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
