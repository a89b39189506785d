"""Exact and near duplicates: the first of a kind stays, in the order given.

Exact: the same text but for case, spacing, punctuation and forms of characters (sameness.py). Near: the
Jaccard similarity of the sets of shingles of three units, estimated by MinHash (Broder 1997; datasketch, 128
permutations, fixed seed, SHA-1). A unit is a word, or a character where words do not serve.
"""

import numpy as np

from .records import Dropped
from .sameness import bare, units

PERMUTATIONS = 128
SHINGLE = 3
MAX_SHINGLES = 2000  # of one document; of more, those with the smallest hashes, so that similarity survives


def text(record: dict) -> str:
    """What of a record is compared: prompt and completion."""
    return f"{record['prompt']}\n{record['completion']}"


def shingles(document: list[str]) -> set[str]:
    """Runs of SHINGLE of a document's units; of a shorter one all it has."""
    return {" ".join(document[i : i + SHINGLE]) for i in range(max(1, len(document) - SHINGLE + 1))}


def signatures(documents: list[list[str]]) -> list:
    """One MinHash for each list of units."""
    from datasketch import MinHash
    from datasketch.hashfunc import sha1_hash32

    hashes: dict[str, int] = {}
    empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)
    made = []
    for document in documents:
        minhash, runs = empty.copy(), shingles(document)
        for run in runs:
            if run not in hashes:
                hashes[run] = sha1_hash32(run.encode())
        minhash.update_batch(sorted(hashes[run] for run in runs)[:MAX_SHINGLES])
        made.append(minhash)
    return made


def similarity(one: list, others: list) -> np.ndarray:
    """Estimated Jaccard similarity, shape (len(one), len(others)), in steps of 1/128."""
    right = np.array([minhash.hashvalues for minhash in others])
    rows = [np.mean(right == minhash.hashvalues, axis=1) for minhash in one]
    return np.array(rows).reshape(len(one), len(others))


def unique(records: list[dict], threshold: float) -> tuple[list[dict], list[Dropped]]:
    """Records without later duplicates, and what was dropped.

    ``threshold`` is the similarity from which two documents count as one (1: exact duplicates only).
    """
    seen: set[str] = set()
    retained, dropped = [], []
    for record in records:
        name = bare(text(record))
        if name in seen:
            dropped.append(Dropped("exact duplicate", record["source"]))
        else:
            seen.add(name)
            retained.append(record)
    if threshold >= 1:
        return retained, dropped
    is_near = _later_near_duplicates(signatures([units(text(r)) for r in retained]), threshold)
    dropped += [
        Dropped("near duplicate", record["source"]) for record, near in zip(retained, is_near) if near
    ]
    return [record for record, near in zip(retained, is_near) if not near], dropped


def _later_near_duplicates(minhashes: list, threshold: float) -> list[bool]:
    """For each, whether an earlier one that stays is as similar as ``threshold`` or more."""
    index, near = similar_index(threshold), []
    for i, minhash in enumerate(minhashes):
        is_duplicate = any(minhashes[j].jaccard(minhash) >= threshold for j in index.query(minhash))
        near.append(is_duplicate)
        if not is_duplicate:
            index.insert(i, minhash)
    return near


def similar_index(threshold: float):
    """A datasketch index that would rather give too many candidates than miss one: each is to be compared."""
    from datasketch import MinHashLSH

    return MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS, weights=(0.1, 0.9))
