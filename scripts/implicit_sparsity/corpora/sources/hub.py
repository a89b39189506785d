"""A data set of the Hugging Face hub at a pinned revision, with its field names in the config.

    mmlu: {loader: hub, repo: cais/mmlu, revision: <40 hex digits of a commit>, config: anatomy, split: test,
           fields: {prompt: question, choices: choices, answer: answer, group: subject}, licence: MIT}
    pubmedqa: {loader: hub, repo: owner/name, revision: <...>, file: data/ori_pqal.json,
               fields: {prompt: "{CONTEXTS}\\n{QUESTION}", completion: LONG_ANSWER, answer: final_decision},
               choices: ["yes", "no", maybe], licence: MIT}

A ``split`` is read by the ``datasets`` library, one ``file`` as it was published: Parquet by its ending, else
JSON as the loader jsonl reads it (``layout``: lines, or for .json mapping, where the keys are the ids). Files
are checked against the hub's checksums and kept in its cache (``HF_HOME``); once there, no network is needed.
No code of the data set is run. The "line" of a bad row is its number, from 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import version
from implicit_sparsity.storage.hub import Repository, Unreachable

from . import jsonl, parquet

CARD = "README.md"


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("datasets", "huggingface-hub")}


def documents(
    limit: int | None,
    seed: int,
    repo: str,
    revision: str,
    fields: dict,
    licence: str,
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
    if file is None:
        place, rows = repo, enumerate(_split(Repository(repo, revision, "dataset"), config, split), 1)
    else:
        place, rows = f"{repo}/{file}", _file(Repository(repo, revision, "dataset"), file, layout)
    yield from table(
        rows, place, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def _file(repository: Repository, file: str, layout: str | None):
    path = repository.cached(file)
    if file.endswith(".parquet"):
        return parquet.rows(path)
    return jsonl.rows(path, layout or ("mapping" if file.endswith(".json") else "lines"))


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
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    keys = {"Unknown split": "split", "BuilderConfig": "config"}
    key = next((key for start, key in keys.items() if reason.startswith(start)), "repo")
    return repository.refuse(f"cannot be loaded: {reason}", key)
