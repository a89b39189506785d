"""A local Parquet file, with its field names in the config; options as for jsonl.

    notes: {loader: parquet, path: data/notes.parquet, fields: {prompt: question, completion: reply, id: key},
            licence: CC-BY-4.0}

The "line" of a bad row is its number, from 1.
"""

from collections.abc import Iterator

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import version


def versions() -> dict[str, str]:
    return {"pyarrow": version("pyarrow")}


def documents(
    limit: int | None,
    seed: int,
    path: str,
    fields: dict,
    licence: str,
    on_bad: str = "refuse",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed; read in batches, so memory does not grow with the file."""
    yield from table(
        rows(path), path, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def rows(path) -> Iterator[tuple[int, dict]]:
    """(number from 1, row) of a file."""
    import pyarrow
    from pyarrow import parquet

    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or str(error).splitlines()[0]}", path) from None
    except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(f"not a good Parquet file: {str(error).splitlines()[0]}", path) from None
