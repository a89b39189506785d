"""Rows of Arrow tables as JSON has them; a value that Python cannot hold makes its own row bad, no other."""

from collections.abc import Iterator

from implicit_sparsity.errors import first_line

from .bad import BadRecord, Row


def rows(table, first: int = 1) -> Iterator[tuple[Row, dict | BadRecord]]:
    """(Row, row) of a RecordBatch or Table without a column twice; ``first``: the number of its first row."""
    columns = [_cells(name, table.column(i)) for i, name in enumerate(table.schema.names)]
    for number, cells in enumerate(zip(*columns), first):
        bad = next((cell for cell in cells if isinstance(cell, BadRecord)), None)
        yield Row(number), bad or dict(zip(table.schema.names, cells))


def _cells(name: str, column) -> list:
    try:
        return column.to_pylist()
    # a date beyond Python's, a zone nobody knows, bytes that are no text: pyarrow's errors and others'
    except Exception:
        return [_cell(name, value) for value in column]


def _cell(name: str, value):
    try:
        return value.as_py()
    except Exception as error:
        words = f"column {name!r} cannot be read: {first_line(error)[:100]}"
        return BadRecord("unreadable value", words)
