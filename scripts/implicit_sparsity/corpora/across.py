"""Documents that another domain of the study has, too: what one domain trains the other would evaluate.

The earlier domain in the config's order keeps such a document, whatever becomes of it there. So the last
domain depends on all others, and a domain added at the end changes none of them.
"""

from collections.abc import Iterable

import numpy as np

from .dedupe import shingles, signatures, similar_index, text
from .records import Dropped
from .sameness import bare, units

REASON = "duplicate of domain"  # and its name


def without(
    records: list[dict], others: Iterable[tuple[str, dict]], threshold: float
) -> tuple[list[dict], list[Dropped]]:
    """Records that no other domain has, and what was dropped; ``others``: (domain, record) pairs.

    The same is as in dedupe.py: exact, or near under ``threshold`` (1: exact duplicates only).
    """
    owner: dict[int, str] = {}
    finders = [_exact(records), *([_near(records, threshold)] if threshold < 1 else [])]
    for domain, record in others:
        for find in finders:
            for place in find(record):
                owner.setdefault(place, domain)
    dropped = [Dropped(f"{REASON} {owner[i]}", records[i]["source"]) for i in sorted(owner)]
    return [record for i, record in enumerate(records) if i not in owner], dropped


def _exact(records: list[dict]):
    """A function: places in ``records`` of those that a document is an exact duplicate of."""
    places: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        places.setdefault(bare(text(record)), []).append(i)
    return lambda record: places.get(bare(text(record)), ())


def _near(records: list[dict], threshold: float):
    """The same of near duplicates. Few documents share as many shingles with all of ``records`` as they would
    with one that is near: only of these is a signature made."""
    documents = [units(text(record)) for record in records]
    known = np.unique(np.concatenate([np.zeros(0, np.int64), *map(_hashes, documents)]))
    made, index = signatures(documents), similar_index(threshold)
    for i, minhash in enumerate(made):
        index.insert(i, minhash)

    def find(record: dict) -> list[int]:
        document = units(text(record))
        hashes = _hashes(document)
        places = np.searchsorted(known, hashes)
        is_known = known[np.minimum(places, len(known) - 1)] == hashes
        if is_known.mean() < threshold:
            return []
        minhash = signatures([document])[0]
        return [i for i in index.query(minhash) if made[i].jaccard(minhash) >= threshold]

    return find if records else lambda record: []


def _hashes(document: list[str]) -> np.ndarray:
    """Of this process, of the document's shingles: int64 [n]; eight bytes each, where texts are many."""
    return np.array([hash(run) for run in shingles(document)], np.int64)
