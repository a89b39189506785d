"""A data set of the Hugging Face hub at a pinned revision, with its field names in the config.

    mmlu: {loader: hub, repo: cais/mmlu, revision: <40 hex digits of a commit>, config: anatomy, split: test,
           fields: {prompt: question, choices: choices, answer: answer, group: subject}, licence: MIT}

Needs the network, or the data set in the local cache (``HF_HOME``). No code of the data set is run.
The "line" of a bad row is its number, from 1.
"""

import re
from collections.abc import Iterator

from implicit_sparsity.corpora.mapping import table
from implicit_sparsity.corpora.records import Dropped
from implicit_sparsity.errors import InputError
from implicit_sparsity.files import version


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("datasets", "huggingface-hub")}


def documents(
    limit: int | None,
    seed: int,
    repo: str,
    revision: str,
    split: str,
    fields: dict,
    licence: str,
    config: str | None = None,
    on_bad: str = "refuse",
    choices: list | None = None,
    answer_pattern: str = "",
    max_chars: int | None = None,
) -> Iterator[dict | Dropped]:
    """Rows drawn by seed of one split at one commit."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise InputError(f"{revision!r} is not the 40 hex digits of a commit: branches move", key="revision")
    rows = enumerate(_load(repo, config, split, revision), 1)
    yield from table(
        rows, repo, fields, licence, limit, seed, on_bad, choices, answer_pattern, max_chars
    )  # fmt: skip


def _load(repo: str, config: str | None, split: str, revision: str):
    from datasets import DownloadMode, load_dataset

    try:
        return load_dataset(
            repo, config, split=split, revision=revision, download_mode=DownloadMode.REUSE_DATASET_IF_EXISTS
        )
    except Exception as error:  # datasets raises its own, the hub's, the network's and ValueError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"cannot be loaded at revision {revision[:12]}: {reason}", repo) from None
