"""The documents that a measurement takes of a split, and which of their tokens.

They are taken group by group in turn (``document_groups``), so that as many groups as possible have a part.
Splits are in random order, so the first are a random sample of groups, the same one for every checkpoint.
Shapes: T tokens of a document.
"""

import numpy as np

from implicit_sparsity.errors import InputError
from implicit_sparsity.models.batching import completion_tokens

from . import document_groups


def counting(ids, special_ids, skip_first: int) -> np.ndarray:
    """Which tokens count, bool [T]: neither special (format) nor among the leading ones (attention sinks)."""
    ids = np.asarray(ids)
    special = np.asarray(sorted(special_ids), np.int64)
    return ~np.isin(ids, special) & (np.arange(len(ids)) >= skip_first)


def evenly(places, count: int) -> np.ndarray:
    """At most ``count`` of ``places``, evenly spaced: the middles of as many equal parts."""
    count = min(len(places), count)
    return places[(2 * np.arange(count) + 1) * len(places) // (2 * count)] if count else places[:0]


def first_documents(
    split,
    count: int,
    key: str,
    path=None,
    wanted=completion_tokens,
    what="a completion",
    of="probe",
    order=document_groups.in_turn,
) -> list:
    """The first ``count`` documents, in the ``order`` of ``document_groups``, of a split's that are
    ``wanted``; InputError for fewer.

    key: where the config says ``count``; what: what those that are wanted have; of: the split's name there.
    """
    known = [document for document in split if wanted(document)]
    result = order(known)[:count]
    if len(result) == count:
        return result
    name = "a probe half" if of == "probe" else f"the {of} split"
    raise InputError(
        f"{name} holds {len(result)} documents with {what}, {count} are wanted: "
        f"raise splits.{of} or lower the number",
        path=path,
        key=key,
    )
