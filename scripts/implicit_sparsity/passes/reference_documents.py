"""The documents that a measurement takes of a split, and which of their tokens.

Splits are in random order, so the first documents are a random sample, the same one for every checkpoint.
Shapes: T tokens of a document.
"""

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.batching import completion_tokens


def counting(ids, special_ids, skip_first: int) -> np.ndarray:
    """Which tokens count, bool [T]: neither special (format) nor among the leading ones (attention sinks)."""
    ids = np.asarray(ids)
    special = np.asarray(sorted(special_ids), np.int64)
    return ~np.isin(ids, special) & (np.arange(len(ids)) >= skip_first)


def evenly(places, count: int) -> np.ndarray:
    """At most ``count`` of ``places``, evenly spaced: the middles of as many equal parts."""
    count = min(len(places), count)
    return places[(2 * np.arange(count) + 1) * len(places) // (2 * count)] if count else places[:0]


def in_turn(split):
    """The documents of a split, one of every group, then a second of every group that has one, and so on.

    As many groups as documents where there are as many, for groups and not documents make an interval narrow;
    a large group weighs no more than a small one.
    """
    seen, order = {}, []
    for i, meta in enumerate(split.meta):
        group = meta.get("group", i)
        seen[group] = seen.get(group, -1) + 1
        order.append((seen[group], i))
    return (split[i] for _, i in sorted(order))


def first_documents(
    split, count: int, key: str, path=None, wanted=completion_tokens, what="a completion", of="probe"
) -> list:
    """The first ``count`` documents of a split that are ``wanted``; InputError where there are fewer.

    key: where the config says ``count``; what: what those that are wanted have; of: the split's name there.
    """
    result = []
    for document in split:
        if wanted(document):
            result.append(document)
        if len(result) == count:
            return result
    name = "a probe half" if of == "probe" else f"the {of} split"
    raise InputError(
        f"{name} holds {len(result)} documents with {what}, {count} are wanted: "
        f"raise splits.{of} or lower the number",
        path=path,
        key=key,
    )


def over_groups(documents, count: int) -> list:
    """``count`` of the documents, at most, from as many groups as there are: the first of every group, then
    the second of every group, and so on."""
    seen: dict = {}
    turns = []
    for document in documents:
        group = document.meta["group"]
        seen[group] = seen.get(group, -1) + 1
        turns.append(seen[group])
    order = sorted(range(len(turns)), key=turns.__getitem__)
    return [documents[i] for i in order[:count]]
