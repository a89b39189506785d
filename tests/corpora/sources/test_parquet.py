"""Rows of a Parquet file."""

import pytest
from test_jsonl import QA

from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.corpora.sources import parquet
from implicit_sparsity.errors import InputError


def test_parquet(tmp_path):
    import pyarrow as pa
    from pyarrow.parquet import write_table

    rows = [{"q": f"question {i}", "a": f"answer {i}" if i != 7 else None, "k": i // 5} for i in range(20)]
    write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    options = {"path": str(tmp_path / "a.parquet"), "fields": QA | {"group": "k"}, "licence": "MIT"}
    with pytest.raises(InputError, match=r"a\.parquet: row 8: completion: is empty$"):
        list(parquet.documents(None, 0, **options))
    result = list(parquet.documents(None, 0, **options, on_bad="drop"))
    assert result[0] == Dropped("empty text") and len(result) == 20
    assert {r["group"] for r in result[1:]} == {"0", "1", "2", "3"}
    whole = (tmp_path / "a.parquet").read_bytes()
    whats = {
        b"not parquet": "is no Parquet file but something else",
        whole[: len(whole) // 2]: "is a damaged Parquet file",
        b'{"q": "json?"}': "is no Parquet file but JSON: `loader: jsonl` reads it",
        b"": "is no Parquet file but something else",
        b"\x1f\x8bxxxx": "is no Parquet file but a gzip file",
        b"q,a\nx,y\n": "is no Parquet file but a table of text",
    }
    for broken, what in whats.items():
        (tmp_path / "a.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=rf"a\.parquet: {what}"):
            list(parquet.documents(None, 0, **options))
    with pytest.raises(InputError, match="cannot be read"):
        list(parquet.documents(None, 0, **options | {"path": str(tmp_path / "none")}))
