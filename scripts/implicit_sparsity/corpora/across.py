"""Documents that another domain of the study has, too: what one domain trains the other would evaluate.

The earlier domain in the config's order keeps such a document, whatever becomes of it there. So the last
domain depends on all others, and a domain added at the end changes none of them.
"""

from collections.abc import Callable, Iterable

import numpy as np

from .contamination import boilerplate, ngrams
from .dedupe import shingles, signatures, similar_index, text
from .records import IN_OTHER_DOMAINS, Dropped
from .sameness import bare, units

SAME, QUOTES = IN_OTHER_DOMAINS


def without(
    records: list[dict], others: Iterable[tuple[str, dict]], threshold: float, ngram: int
) -> tuple[list[dict], list[Dropped]]:
    """Records that no other domain has, and what was dropped; ``others``: (domain, record) pairs.

    Has it: as an exact or near duplicate (dedupe.py; ``threshold`` 1: exact ones only), or a run of ``ngram``
    words of it that is no boilerplate of ``records`` (contamination.py).
    """
    finders: list[tuple[str, Callable]] = []
    owner: dict[int, str] = {}
    for domain, record in others:
        finders = finders or _finders(records, threshold, ngram)
        document = units(text(record))
        for reason, find in finders:
            for place in find(record, document):
                owner.setdefault(place, f"{reason} {domain}")
    dropped = [Dropped(owner[i], records[i]["source"]) for i in sorted(owner)]
    return [record for i, record in enumerate(records) if i not in owner], dropped


def _finders(records: list[dict], threshold: float, ngram: int) -> list[tuple[str, Callable]]:
    """(reason, function from a record and its units to places in ``records``), what is surest first."""
    documents = [units(text(record)) for record in records]
    near = [(SAME, _near(documents, threshold))] if records and threshold < 1 else []
    return [(SAME, _exact(records)), *near, (QUOTES, _quoting(records, documents, ngram))]


def _exact(records: list[dict]) -> Callable:
    places: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        places.setdefault(bare(text(record)), []).append(i)
    return lambda record, _: places.get(bare(text(record)), ())


def _near(documents: list[list[str]], threshold: float) -> Callable:
    """Few documents share as many shingles with all of ``documents`` as they would with one that is near:
    only of these is a signature made."""
    known = _Places(map(shingles, documents))
    made, index = signatures(documents), similar_index(threshold)
    for i, minhash in enumerate(made):
        index.insert(i, minhash)

    def find(_, document: list[str]) -> list[int]:
        runs = shingles(document)
        if len(known.shared(runs)) < threshold * len(runs):
            return []
        minhash = signatures([document])[0]
        return [i for i in index.query(minhash) if made[i].jaccard(minhash) >= threshold]

    return find


def _quoting(records: list[dict], documents: list[list[str]], n: int) -> Callable:
    common = boilerplate(records, n)
    known = _Places(ngrams(document, n, common) for document in documents)
    return lambda _, document: known.of(ngrams(document, n, common))


class _Places:
    """Which of many sets have an item; twelve bytes an item, where the sets are of whole corpora."""

    def __init__(self, sets: Iterable[set]):
        hashes = [_hashes(items) for items in sets]
        places = np.repeat(np.arange(len(hashes), dtype=np.int32), [len(h) for h in hashes])
        joined = np.concatenate([np.zeros(0, np.int64), *hashes])
        order = np.argsort(joined, kind="stable")
        self.hashes, self.places = joined[order], places[order]

    def shared(self, items: set) -> np.ndarray:
        """Of the items that any set has: where they begin and end in ``places``, int64 [n, 2]."""
        hashes = _hashes(items)
        ranges = np.stack([np.searchsorted(self.hashes, hashes, side) for side in ("left", "right")], axis=1)
        return ranges[ranges[:, 0] < ranges[:, 1]]

    def of(self, items: set) -> list[int]:
        """The numbers of the sets that share an item with ``items``."""
        return sorted({int(i) for start, end in self.shared(items) for i in self.places[start:end]})


def _hashes(items: set) -> np.ndarray:
    """Of this process: int64 [n]."""
    return np.fromiter(map(hash, items), np.int64, len(items))
