"""A local Parquet file, with its field names in the config; options as for jsonl.

    notes: {loader: parquet, path: data/notes.parquet, fields: {prompt: question, completion: reply, id: key},
            licence: CC-BY-4.0}

Columns that no field names are not read. A bad row is named by its number, from 1.
"""

from collections.abc import Iterator

from implicit_sparsity.corpora import arrow
from implicit_sparsity.corpora.fields import columns, named
from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import ON_BAD, Dropped
from implicit_sparsity.corpora.rows import GZIP, other_kind
from implicit_sparsity.errors import InputError, first_line
from implicit_sparsity.storage.files import version

LAYOUTS = ("lines", "messages")
OPTIONS = {"on_bad": {"choices": ON_BAD}, "layout": {"choices": LAYOUTS}}


def versions() -> dict[str, str]:
    return {"pyarrow": version("pyarrow")}


def documents(
    limit: int | None,
    seed: int,
    path: str,
    licence: str,
    fields: dict | None = None,
    on_bad: str = "refuse",
    layout: str = "lines",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed; read in batches, so memory does not grow with the file. ``layout``: ``lines`` (a
    document a row) or ``messages``."""
    fields = named(fields, layout, LAYOUTS)
    yield from table(
        rows(path, fields), path, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def rows(path, fields: dict) -> Iterator[tuple]:
    """(Row, row) of a file, with the columns that ``fields`` name."""
    import pyarrow
    from pyarrow import parquet

    try:
        number = 1
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024, columns=_wanted(file, fields, path)):
                yield from arrow.rows(batch, number)
                number += batch.num_rows
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(_what(path, error), path) from None


def _wanted(file, fields: dict, path) -> list[str]:
    """Columns, and of a nested one the part that is asked for."""
    leaves = [file.schema.column(i).path for i in range(len(file.schema))]

    def wanted(column: str) -> str:
        is_path = any(leaf == column or leaf.startswith(f"{column}.") for leaf in leaves)
        return column if is_path else column.split(".")[0]

    return sorted({wanted(column) for column in columns(fields, file.schema_arrow.names, path)})


def _what(path, error: Exception) -> str:
    """What is wrong with a file that cannot be read, or what it is instead."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as unreadable:
        return f"cannot be read: {unreadable.strerror}"
    if start.startswith(b"PAR1"):
        return f"is a damaged Parquet file: {first_line(error)[:150]}"
    if start.startswith(GZIP):
        return "is no Parquet file but a gzip file: unpack it, or `loader: jsonl` if JSON is in it"
    if start.lstrip()[:1] in (b"{", b"["):
        return "is no Parquet file but JSON: `loader: jsonl` reads it"
    return f"is no Parquet file but {other_kind(start) or 'something else'}"
