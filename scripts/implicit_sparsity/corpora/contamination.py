"""Eval documents whose text occurs in another split: by n-grams of words, and by MinHash similarity.

An n-gram is a run of units that are n words together (sameness.py: two characters of a script without blanks
count as a word, five letters of a long word, signs as nothing).

A run that occurs in more than ``COMMON`` groups of the domain is boilerplate of a source ("a very special
island is inhabited only by ...") and n-grams that hold one do not count; Brown et al. 2020 (arXiv 2005.14165,
appendix C) likewise ignore 13-grams with more than 10 occurrences. Runs are a little longer than half an
n-gram, so that boilerplate and one more word is still boilerplate. Groups are counted, not documents: many
copies of one leaked template are a leak.
"""

from bisect import bisect_right
from collections import Counter
from itertools import accumulate

from .dedupe import signatures, similarity, text
from .sameness import units, weight

COMMON = 5


def contaminated(
    candidates: list[dict], rest: list[dict], pool: list[dict], ngram: int, threshold: float
) -> list[str | None]:
    """For each candidate the reason why it cannot be in eval ("n-gram overlap", "near duplicate"), or None.

    ``rest``: the documents of the other splits. ``pool``: all documents of the domain, to know boilerplate.
    """
    if not candidates or not rest:
        return [None] * len(candidates)
    texts = [units(text(record)) for record in candidates]
    others = [units(text(record)) for record in rest]
    common = boilerplate(pool, ngram)
    used = set().union(*(ngrams(document, ngram, common) for document in others))
    close = similarity(signatures(texts), signatures(others)).max(axis=1) >= threshold
    reasons = []
    for document, is_close in zip(texts, close):
        overlaps = not used.isdisjoint(ngrams(document, ngram, common))
        reasons.append("n-gram overlap" if overlaps else "near duplicate" if is_close else None)
    return reasons


def ngrams(document: list[str], n: int, common: set = frozenset()) -> set[int]:
    """Hashes (of this process) of a document's runs of units that are ``n`` words together and hold no run of
    ``common``; none of a shorter text."""
    plain = [unit for unit in document if weight(unit)]
    inner = _runs(plain, _shorter(n))
    ends = [end for _, end in inner]  # in order: a later run ends later, or where its neighbour does
    is_common = [0, *accumulate(hash(tuple(plain[start:end])) in common for start, end in inner)]
    return {
        hash(tuple(plain[start:end]))
        for start, end in _runs(plain, n)
        if is_common[bisect_right(ends, end)] == is_common[start]
    }


def _runs(plain: list[str], n: int) -> list[tuple[int, int]]:
    """From each place the shortest run of ``n`` words: (start, end), as long as the text reaches."""
    # in tenths of a word, so that sums are exact
    before = [0, *accumulate(round(10 * weight(unit)) for unit in plain)]
    runs, end = [], 0
    for start in range(len(plain)):
        while end < len(plain) and before[end] - before[start] < 10 * n:
            end += 1
        if before[end] - before[start] < 10 * n:
            break
        runs.append((start, end))
    return runs


def boilerplate(pool: list[dict], n: int) -> set[int]:
    """Runs of n // 2 + 1 words that occur in more than COMMON groups, as hashes."""
    groups: dict[tuple, set] = {}
    for record in pool:
        runs = groups.setdefault((record["source"], record["group"]), set())
        runs |= ngrams(units(text(record)), _shorter(n))
    counts = Counter(run for runs in groups.values() for run in runs)
    return {run for run, count in counts.items() if count > COMMON}


def _shorter(n: int) -> int:
    return n // 2 + 1
