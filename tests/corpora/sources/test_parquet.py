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
    with pytest.raises(InputError, match=r"a\.parquet:8: completion: must be a text"):
        list(parquet.documents(None, 0, **options))
    result = list(parquet.documents(None, 0, **options, on_bad="drop"))
    assert result[0] == Dropped("wrong type") and len(result) == 20
    assert {r["group"] for r in result[1:]} == {"0", "1", "2", "3"}
    whole = (tmp_path / "a.parquet").read_bytes()
    for broken in (b"not parquet", whole[: len(whole) // 2]):
        (tmp_path / "a.parquet").write_bytes(broken)
        with pytest.raises(InputError, match=r"a\.parquet: not a good Parquet file"):
            list(parquet.documents(None, 0, **options))
    with pytest.raises(InputError, match="cannot be read"):
        list(parquet.documents(None, 0, **options | {"path": str(tmp_path / "none")}))
