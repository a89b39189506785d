"""Whole groups of documents: in which order documents are taken, and how they are dealt into parts.

Documents of one group (``meta["group"]``) are nearly one observation. So where not all documents are
measured, as many groups as possible have a part in it, and what is summed up by parts has each group in one
of them alone. Shapes: D documents, G groups, P parts.
"""

import numpy as np

from implicit_sparsity.corpora import sampling
from implicit_sparsity.corpora.tokens import CONTENT
from implicit_sparsity.metrics.clusters import places

FEWEST_CONTENT = 4  # tokens; a mean loss of fewer is mostly noise, and counts as much as any other


def names(documents) -> list:
    """The group of each document."""
    return [document.meta["group"] for document in documents]


def in_turn(documents) -> list:
    """Documents by ``sampling.in_turn``: the first of every group, then the second, and so on.

    Groups come in the order of their first documents; so of a split in random order the first are a random
    sample of groups, the same one for every checkpoint.
    """
    groups: dict = {}
    for document in documents:
        groups.setdefault(document.meta["group"], []).append(document)
    return sampling.in_turn(list(groups.values()))


def by_content(documents) -> list:
    """Documents in turn, those of ``FEWEST_CONTENT`` content tokens or more before all others.

    For what is a mean over documents of something per content token.
    """
    enough, short = [], []
    for document in documents:
        some = (document.parts == CONTENT).sum() >= FEWEST_CONTENT
        (enough if some else short).append(document)
    return [*in_turn(enough), *in_turn(short)]


def deal(documents, tokens, parts: int) -> np.ndarray:
    """The part of each document, int64 [D] of 0 .. P - 1: a part a group where there are as many parts.

    Else several groups share a part: groups of one source as far as that goes, so many parts a source as it
    has tokens, and the largest groups first, each to the part of its source with the fewest ``tokens`` [D].
    """
    place = places(names(documents))
    count = int(place.max(initial=-1)) + 1
    if count <= parts:
        return place
    sizes = np.bincount(place, tokens)
    owner = _owners(documents, place, count, parts)
    room = _shares(np.bincount(owner, sizes), np.bincount(owner), parts)
    first, filled, part = np.cumsum([0, *room]), np.zeros(parts), np.empty(count, np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        here = slice(first[owner[group]], first[owner[group] + 1])
        part[group] = here.start + int(np.argmin(filled[here]))
        filled[part[group]] += sizes[group]
    return part[place]


def sources(documents, part) -> np.ndarray:
    """The source of each part's documents [P], "" where they have several."""
    names = [{} for _ in range(int(np.max(part, initial=-1)) + 1)]
    for document, number in zip(documents, part, strict=True):
        names[number][document.meta["source"]] = None
    return np.array([next(iter(some)) if len(some) == 1 else "" for some in names], dtype=np.str_)


def _owners(documents, place, count, parts) -> np.ndarray:
    """The number of each group's source [G]; all 0 where there are more sources than parts."""
    numbers = places(sources(documents, place))
    return numbers if numbers.max() < parts else np.zeros(count, np.int64)


def _shares(sizes, most, parts: int) -> np.ndarray:
    """``parts`` dealt in proportion to ``sizes`` [S]: at least 1 each, at most as many as ``most`` [S]."""
    exact = parts * sizes / max(sizes.sum(), 1)
    share = np.clip(exact.astype(np.int64), 1, most)
    while share.sum() != parts:
        step = 1 if share.sum() < parts else -1
        free = share < most if step > 0 else share > 1
        share[np.argmax(np.where(free, step * (exact - share), -np.inf))] += step
    return share
