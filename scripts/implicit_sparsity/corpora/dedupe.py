"""Exact and near duplicates: the first of a kind stays, in the order given.

Exact: the same words and signs, whatever their case and spacing. Near: the Jaccard similarity of the sets of
three-word shingles, estimated by MinHash (Broder 1997; datasketch, 128 permutations, fixed seed, SHA-1).
"""

import re

import numpy as np

from .records import Dropped

PERMUTATIONS = 128
SHINGLE = 3
MAX_SHINGLES = 2000  # of one document; of more, those with the smallest hashes, so that similarity survives


def words(record: dict) -> list[str]:
    """Words and signs of prompt and completion, in lower case."""
    return re.findall(r"\w+|[^\w\s]", f"{record['prompt']}\n{record['completion']}".lower())


def signatures(documents: list[list[str]]) -> list:
    """One MinHash for each list of words."""
    from datasketch import MinHash
    from datasketch.hashfunc import sha1_hash32

    hashes: dict[str, int] = {}
    empty = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)
    made = []
    for document in documents:
        minhash = empty.copy()
        shingles = {" ".join(document[i : i + SHINGLE]) for i in range(max(1, len(document) - SHINGLE + 1))}
        for shingle in shingles:
            if shingle not in hashes:
                hashes[shingle] = sha1_hash32(shingle.encode())
        minhash.update_batch(sorted(hashes[shingle] for shingle in shingles)[:MAX_SHINGLES])
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
    retained, dropped, texts = [], [], []
    for record in records:
        text = words(record)
        joined = " ".join(text)
        if joined in seen:
            dropped.append(Dropped("exact duplicate", record["source"]))
        else:
            seen.add(joined)
            retained.append(record)
            texts.append(text)
    if threshold >= 1:
        return retained, dropped
    is_near = _later_near_duplicates(signatures(texts), threshold)
    dropped += [
        Dropped("near duplicate", record["source"]) for record, near in zip(retained, is_near) if near
    ]
    return [record for record, near in zip(retained, is_near) if not near], dropped


def _later_near_duplicates(minhashes: list, threshold: float) -> list[bool]:
    """For each, whether an earlier one that stays is as similar as ``threshold`` or more."""
    from datasketch import MinHashLSH

    # An index that would rather give too many candidates than miss one: each is compared below.
    index = MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    near = []
    for i, minhash in enumerate(minhashes):
        is_duplicate = any(minhashes[j].jaccard(minhash) >= threshold for j in index.query(minhash))
        near.append(is_duplicate)
        if not is_duplicate:
            index.insert(i, minhash)
    return near
