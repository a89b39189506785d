"""Eval documents whose text occurs in another split: by word n-grams, and by MinHash similarity.

An n-gram that occurs in more than ``COMMON`` groups of the domain is boilerplate of a source ("a very special
island is inhabited only by ...") and does not count, as in Brown et al. 2020 (arXiv 2005.14165, appendix C,
13-grams with more than 10 occurrences). Groups are counted, not documents: many copies of one leaked template
are a leak, not boilerplate.
"""

from collections import Counter

from implicit_sparsity.corpora.dedupe import signatures, similarity, words

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
    used = set().union(*(ngrams(text, ngram) for text in others)) - common
    close = similarity(signatures(texts), signatures(others)).max(axis=1) >= threshold
    reasons = []
    for text, is_close in zip(texts, close):
        overlaps = not used.isdisjoint(ngrams(text, ngram))
        reasons.append("n-gram overlap" if overlaps else "near duplicate" if is_close else None)
    return reasons


def ngrams(text: list[str], n: int) -> set[tuple[str, ...]]:
    """The runs of ``n`` words (signs left out) of a text; none where it is shorter."""
    plain = [word for word in text if word[0].isalnum() or word[0] == "_"]
    return {tuple(plain[i : i + n]) for i in range(len(plain) - n + 1)}


def boilerplate(pool: list[dict], n: int) -> set[tuple[str, ...]]:
    """N-grams that occur in more than COMMON groups."""
    groups: dict[tuple, set] = {}
    for record in pool:
        groups.setdefault((record["source"], record["group"]), set()).update(ngrams(words(record), n))
    counts = Counter(ngram for found in groups.values() for ngram in found)
    return {ngram for ngram, count in counts.items() if count > COMMON}
