"""Which values are among the k largest of their row.

The k largest of a row are in the k groups of columns with the largest maxima, so only those are searched.
At 1 % of the columns that takes a third of the time of ``topk`` on whole rows.

Shapes: t rows, n columns, K sizes k, g columns in a group.
"""

import numpy as np


def largest_indices(values, k: int):
    """Columns of the k largest values of each row, largest first: values [t, n] -> int64 [t, k]."""
    groups = _groups(values, k)
    if groups is None:
        return values.topk(k, dim=1).indices
    best = groups.amax(1).topk(k, dim=1, sorted=False).indices
    within = groups.gather(2, best[:, None, :].expand(-1, groups.shape[1], -1)).flatten(1)
    found = within.topk(k, dim=1).indices
    return found // k * groups.shape[2] + best.gather(1, found % k)


def count_largest(values, sizes: list[int], other=None):
    """For each k of ``sizes``, in how many rows a column is among the k largest: values [t, n] float32 in the
    host's memory -> int64 [K, n]; None where a row's k-th largest value comes twice, so that the value does
    not say who is in. ``other``, like ``values``, is written over.

    Comparing with the k-th largest takes half the time of looking for the columns.
    """
    import torch

    other, counts = torch.empty_like(values) if other is None else other, []
    for k in sizes:
        candidates = _candidates(values, k)
        candidates.partition(-k, axis=1)
        bar = torch.from_numpy(candidates[:, -k, None].copy())
        # to numbers: a table of booleans is slower to sum
        counts.append(torch.ge(values, bar, out=other).sum(0).long())
        if counts[-1].sum() != k * len(values):
            return None
    return torch.stack(counts)


def _candidates(values, k: int) -> np.ndarray:
    """A copy of values that hold each row's k largest: those of the k best groups, or all of them."""
    import torch

    groups = _groups(values, k)
    if groups is not None:
        best, count = groups.amax(1).numpy(), groups.shape[2]
        bar = np.partition(best, -k, axis=1)[:, -k, None]
        chosen = np.flatnonzero(best >= bar) % count
        if len(chosen) == k * len(values):  # no two groups tie for the last place
            index = torch.from_numpy(chosen).view(-1, 1, k).expand(-1, groups.shape[1], -1)
            return groups.gather(2, index).flatten(1).numpy()
    return values.numpy().copy()


def _groups(values, k: int):
    """values [t, n] as [t, g, n / g], group i's members at [:, :, i]: columns i, i + n / g, ...; None where k
    groups would be too much of a row to gain anything."""
    n, size = values.shape[1], 16
    while size > 1 and (n % size or size * size * k > n):
        size //= 2
    return None if size == 1 else values.view(len(values), size, n // size)
