"""Eval documents whose text occurs in another split: by word n-grams, and by MinHash similarity.

A run of words that occurs in more than ``COMMON`` groups of the domain is boilerplate of a source ("a very
special island is inhabited only by ...") and n-grams that hold one do not count; Brown et al. 2020 (arXiv
2005.14165, appendix C) likewise ignore 13-grams with more than 10 occurrences. Runs are a little longer than
half an n-gram, so that boilerplate and one more word is still boilerplate. Groups are counted, not documents:
many copies of one leaked template are a leak.
"""

from collections import Counter

from .dedupe import signatures, similarity, words

COMMON = 5


def contaminated(
    candidates: list[dict], rest: list[dict], pool: list[dict], ngram: int, threshold: float
) -> list[str | None]:
    """For each candidate the reason why it cannot be in eval ("n-gram overlap", "near duplicate"), or None.

    ``rest``: the documents of the other splits. ``pool``: all documents of the domain, to know boilerplate.
    """
    if not candidates or not rest:
        return [None] * len(candidates)
    texts = [words(record) for record in candidates]
    others = [words(record) for record in rest]
    common = boilerplate(pool, ngram)
    used = set().union(*(ngrams(text, ngram, common) for text in others))
    close = similarity(signatures(texts), signatures(others)).max(axis=1) >= threshold
    reasons = []
    for text, is_close in zip(texts, close):
        overlaps = not used.isdisjoint(ngrams(text, ngram, common))
        reasons.append("n-gram overlap" if overlaps else "near duplicate" if is_close else None)
    return reasons


def ngrams(text: list[str], n: int, common: set = frozenset()) -> set[tuple[str, ...]]:
    """The runs of ``n`` words (signs left out) that hold no run of ``common``; none of a shorter text."""
    plain = [word for word in text if word[0].isalnum() or word[0] == "_"]
    inner = _run(n)
    is_common = [tuple(plain[i : i + inner]) in common for i in range(len(plain) - inner + 1)]
    places = range(len(plain) - n + 1)
    return {tuple(plain[i : i + n]) for i in places if not any(is_common[i : i + n - inner + 1])}


def boilerplate(pool: list[dict], n: int) -> set[tuple[str, ...]]:
    """Runs of n // 2 + 1 words that occur in more than COMMON groups."""
    groups: dict[tuple, set] = {}
    for record in pool:
        runs = groups.setdefault((record["source"], record["group"]), set())
        runs |= ngrams(words(record), _run(n))
    counts = Counter(run for runs in groups.values() for run in runs)
    return {run for run, count in counts.items() if count > COMMON}


def _run(n: int) -> int:
    return n // 2 + 1
