"""Token shards: what is written is read back, masks are exact, damage has a name."""

import random

import numpy as np
import pytest
from corpora_samples import record
from token_samples import encoded, text_of

from implicit_sparsity.corpora.tokens import Tokens
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
