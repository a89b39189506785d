"""A data set of the Hugging Face hub at a pinned revision, with its field names in the config.

    mmlu: {loader: hub, repo: cais/mmlu, revision: <40 hex digits of a commit>, config: anatomy, split: test,
           fields: {prompt: question, choices: choices, answer: answer, group: subject}, licence: MIT}
    pubmedqa: {loader: hub, repo: owner/name, revision: <...>, file: data/ori_pqal.json,
               fields: {prompt: "{CONTEXTS}\\n{QUESTION}", completion: LONG_ANSWER, answer: final_decision},
               choices: ["yes", "no", maybe], licence: MIT}

A ``split`` is read by the ``datasets`` library, one ``file`` as it was published: Parquet by its ending, else
JSON as the loader jsonl reads it (``layout``: lines, or for .json mapping, where the keys are the ids). Files
are checked against the hub's checksums and kept in its cache (``HF_HOME``); once there, no network is needed.
No code of the data set is run. A bad row of a split is named by its number, from 1. ``layout: messages``
reads conversations from either.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from implicit_sparsity.corpora import arrow
from implicit_sparsity.corpora.fields import LAYOUTS, columns, named
from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import ON_BAD, Dropped
from implicit_sparsity.errors import InputError, first_line
from implicit_sparsity.storage.files import is_inside, version
from implicit_sparsity.storage.hub import Repository, Unreachable

from . import jsonl, parquet

OPTIONS = {"on_bad": {"choices": ON_BAD}, "layout": {"choices": LAYOUTS}}

CARD = "README.md"


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("datasets", "huggingface-hub")}


def documents(
    limit: int | None,
    seed: int,
    repo: str,
    revision: str,
    licence: str,
    fields: dict | None = None,
    split: str | None = None,
    config: str | None = None,
    file: str | None = None,
    layout: str | None = None,
    on_bad: str = "refuse",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed of one split, or of one file, at one commit."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise InputError(f"{revision!r} is not the 40 hex digits of a commit: branches move", key="revision")
    if (split is None) == (file is None):
        raise InputError("name a split (with its config), or a file", key="split")
    repository = Repository(repo, revision, "dataset")
    if file is None:
        fields = named(fields, layout or "lines", parquet.LAYOUTS)
        place, rows = repo, _rows(_split(repository, config, split), fields, repo)
    else:
        fields = named(fields, layout or "lines")
        place, rows = f"{repo}/{file}", _file(repository, file, layout, fields)
    yield from table(
        rows, place, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def _file(repository: Repository, file: str, layout: str | None, fields: dict):
    if not is_inside(file):
        raise InputError(f"{file!r} is no path inside the repository", key="file")
    path = repository.cached(file)
    if file.endswith(".parquet"):
        return parquet.rows(path, fields)
    by_id = file.removesuffix(".gz").endswith(".json")
    return jsonl.of_file(path, layout or ("mapping" if by_id else "lines"))


def _rows(data, fields: dict, repo: str) -> Iterator[tuple]:
    """(Row, row) of a split, its columns that ``fields`` name, as they are stored: no image is decoded."""
    wanted = {column if column in data.column_names else column.split(".")[0]
              for column in columns(fields, data.column_names, repo)}  # fmt: skip
    number = 1
    for batch in data.select_columns(sorted(wanted)).with_format("arrow").iter(1024):
        yield from arrow.rows(batch, number)
        number += batch.num_rows


def _split(repository: Repository, config: str | None, split: str):
    """One split; of a hub that is out of reach, as the cache has it."""
    from datasets import DownloadMode, load_dataset
    from datasets.config import HF_DATASETS_CACHE

    options = {
        "revision": repository.revision,
        # Without network `datasets` takes the newest commit in its cache: so each commit has one of its own.
        "cache_dir": str(HF_DATASETS_CACHE / repository.revision),
    }
    unreachable = None
    try:
        _fetch(repository, config, options)
    except Unreachable as error:
        if not Path(options["cache_dir"]).exists():
            raise
        unreachable = error
    mode = DownloadMode.REUSE_DATASET_IF_EXISTS
    try:
        return load_dataset(repository.name, config, split=split, download_mode=mode, **options)
    except Exception as error:  # datasets raises its own, the hub's, the network's and ValueError
        raise unreachable or _refusal(repository, error) from None


def _fetch(repository: Repository, config: str | None, options: dict):
    """Put the files of all splits into the hub's cache, checked; `datasets` finds them there."""
    from datasets import load_dataset_builder

    entries = repository.files()
    if CARD in entries:  # first, since `datasets` loses what the hub said of a gated repository
        repository.into_cache({CARD: entries[CARD]})
    try:
        builder = load_dataset_builder(repository.name, config, **options)
    except Exception as error:
        raise _refusal(repository, error) from None
    if Path(builder.cache_dir).exists():
        return
    ours = f"hf://datasets/{repository.name}@{repository.revision}/"
    urls = [url for files in (builder.config.data_files or {}).values() for url in files]
    names = [url.removeprefix(ours) for url in urls if url.startswith(ours)]
    repository.into_cache({name: entries[name] for name in names})


def _refusal(repository: Repository, error: Exception) -> InputError:
    reason = first_line(error)
    keys = {"Unknown split": "split", "BuilderConfig": "config"}
    key = next((key for start, key in keys.items() if reason.startswith(start)), "repo")
    return repository.refuse(f"cannot be loaded: {reason}", key)
