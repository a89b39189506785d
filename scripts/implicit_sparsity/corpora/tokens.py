"""Token shards of one domain for one model: flat files that are memory-mapped, never loaded whole.

    index.json                          tokenizer, template, vocabulary, ids of control tokens (special_ids),
                                        of what begins (bos_ids) and ends a document (stop_ids); of each
                                        split counts and checksums
    {split}/shard-00000.tokens.bin      token ids, uint32 little-endian, documents end to end
    {split}/shard-00000.offsets.bin     uint64 (n + 1): document i is tokens[offsets[i]:offsets[i + 1]]
    {split}/shard-00000.prompt.bin      uint8, one a token: 1 prompt or template, 0 completion
    {split}/documents.jsonl             one line each: id, group, source, tokens, stop,
                                        [choices, correct, baselines (choice_baselines.py), answer,
                                        cut: prompt, completion (its end is lost) or choices]

A document is ``bos + before + prompt + between | completion + after``. ``after`` counts as completion: a
model has to learn to stop. How likely it is says nothing of the domain, though, so ``stop`` is how many of a
document's last tokens are those of ``after`` (0 where they were cut off, or the text is bare), and
``Document.parts`` separates them. Choices have no ``after``. The writer is corpora/shards.py; this file reads
and knows nothing of tokenizers.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import read_json

FILES = {"tokens": np.dtype("<u4"), "offsets": np.dtype("<u8"), "prompt": np.dtype("u1")}

PROMPT, CONTENT, FIRST, STOP = range(4)  # what a token of a document is
SCORED = {"content": CONTENT, "first": FIRST, "stop": STOP}  # the parts of a completion
LOSSES = {name: [part] for name, part in SCORED.items()} | {"completion": list(SCORED.values())}


def shard_name(number: int, part: str) -> str:
    """``shard-00003.tokens.bin``"""
    return f"shard-{number:05d}.{part}.bin"


@dataclass(frozen=True)
class Document:
    """``ids``: uint32 (T,); ``prompt``: bool (T,), True for prompt and template; ``meta``: its line."""

    ids: np.ndarray
    prompt: np.ndarray
    meta: dict

    @property
    def parts(self) -> np.ndarray:
        """What each token is, uint8 (T,): ``PROMPT`` (template too), ``FIRST`` (the first token of the
        completion that is no stop token), ``CONTENT`` (what follows it), ``STOP``."""
        parts = np.where(self.prompt, PROMPT, CONTENT).astype(np.uint8)
        parts[len(parts) - self.meta.get("stop", 0) :] = STOP
        parts[np.flatnonzero(parts == CONTENT)[:1]] = FIRST
        return parts


class Tokens:
    """A folder of token shards. Opening it checks the size of every file against the index."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.index = read_json(self.folder / "index.json")
        if not isinstance(self.index, dict) or not isinstance(self.index.get("splits"), dict):
            raise InputError("is not an index of token shards", self.folder / "index.json")
        try:
            for name in self.splits:
                self._check_sizes(name)
        except (KeyError, TypeError) as error:
            raise InputError(f"lacks {error}", self.folder / "index.json") from None

    @property
    def splits(self) -> list[str]:
        return list(self.index["splits"])

    def split(self, name: str) -> "Documents":
        """The documents of a split, as a sequence."""
        if name not in self.index["splits"]:
            raise InputError(f"no split {name!r} (there are: {', '.join(self.splits)})", self.folder)
        return Documents(self.folder / name, self.index["splits"][name])

    def _check_sizes(self, name: str):
        entry = self.index["splits"][name]
        for number, (documents, tokens) in enumerate(zip(entry["shard_documents"], entry["shard_tokens"])):
            lengths = {"tokens": tokens, "offsets": documents + 1, "prompt": tokens}
            for part, dtype in FILES.items():
                path = self.folder / name / shard_name(number, part)
                expected = lengths[part] * dtype.itemsize
                size = path.stat().st_size if path.is_file() else None
                if size is None:
                    raise InputError("is missing", path)
                if size != expected:
                    kind = "truncated" if size < expected else "too long"
                    raise InputError(f"is {kind}: {size} bytes, {expected} expected", path)


class Documents:
    """A sequence of Document, read from the mapped shards as they are asked for."""

    def __init__(self, folder: Path, entry: dict):
        self.folder, self.entry = folder, entry
        self._starts = np.cumsum([0, *entry["shard_documents"]])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: int) -> Document:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        number = int(np.searchsorted(self._starts, i, side="right")) - 1
        tokens, offsets, prompt = (self._shards[number][part] for part in FILES)
        place = i - int(self._starts[number])
        start, end = int(offsets[place]), int(offsets[place + 1])
        if not start <= end <= len(tokens):
            raise InputError(
                f"offsets of document {place} are wrong", self.folder / shard_name(number, "offsets")
            )
        return Document(tokens[start:end], prompt[start:end].view(bool), self.meta[i])

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each document, int64 (n,); for batches of like length."""
        offsets = [np.diff(shard["offsets"].astype(np.int64)) for shard in self._shards]
        return np.concatenate(offsets) if offsets else np.empty(0, np.int64)

    @cached_property
    def meta(self) -> list[dict]:
        """The lines of documents.jsonl."""
        path = self.folder / "documents.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", path) from None
        if len(lines) != len(self):
            raise InputError(f"is truncated: {len(lines)} documents, {len(self)} expected", path)
        return lines

    @cached_property
    def _shards(self) -> list[dict[str, np.ndarray]]:
        shards = range(len(self.entry["shard_documents"]))
        return [
            {part: _map(self.folder / shard_name(n, part), FILES[part]) for part in FILES} for n in shards
        ]


def _map(path: Path, dtype: np.dtype) -> np.ndarray:
    # An empty file cannot be mapped, and a static number of shards means that some are empty.
    return np.memmap(path, dtype=dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
