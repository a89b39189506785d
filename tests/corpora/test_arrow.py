"""Rows of Arrow tables: a value that Python cannot hold makes its own row bad."""

from implicit_sparsity.corpora import arrow
from implicit_sparsity.corpora.bad import BadRecord, Row


def test_a_value_that_cannot_be_held_is_of_its_row():
    import pyarrow as pa

    times = pa.array([0, 2**60, None], pa.timestamp("us"))
    first, bad, missing = arrow.rows(pa.table({"q": ["a", "b", "c"], "t": times}), 7)
    assert first[0] == 7 and isinstance(first[0], Row) and first[1]["q"] == "a"
    assert isinstance(bad[1], BadRecord) and bad[1].reason == "unreadable value"
    assert str(bad[1]).startswith("column 't' cannot be read: ") and bad[0] == 8
    assert missing == (9, {"q": "c", "t": None})
