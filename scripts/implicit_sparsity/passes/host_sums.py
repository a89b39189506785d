"""What the activation pass sums up of rows in the host's memory: one loop that reads each row once, compiled.

PyTorch reads the table once for each sum and twice for each comparison, three times as long as all of this.
``device_sums`` is the same for a GPU. Sums of up to ``RUN`` rows are float32, across them float64.

The k largest of a row are those that reach a bar, and the bar is searched for by halving: |h| >= 0 as bits
is an integer of the same order, and any number that exactly k values reach will do. Ties go by index.

Shapes: t rows, n columns, X experts, E thresholds, K sizes k, G groups.
"""

import numba
import numpy as np
import torch

from implicit_sparsity.metrics.overlap import top_sizes

RUN = 128
AT_ONCE = 2**18  # values of another type that are made float32 at once: what stays in a core's cache


def add(statistics, layer: int, first: int, h, rows, groups, experts=None, parts: int = 1) -> None:
    """The same as ``device_sums.add``."""
    h, nothing = h.contiguous(), np.empty(0, np.int64)
    s, of_groups = statistics, np.empty((0, 0), np.float32)
    tables = (s.sum_abs, s.sum_sq, s.max_abs, s.above_count, s.top_count)
    tables = tuple(table[layer].numpy() for table in tables)
    if s.groups:
        of_groups = (s.group_plain if experts is None else s.group_routed)[layer].numpy()
    thresholds = np.asarray(s.thresholds, np.float32)
    sizes = np.asarray(top_sizes(s.top_k, h.shape[1]), np.int64)
    as_it_is = h.dtype == torch.float32
    at_once = max(1, len(rows) if as_it_is else AT_ONCE // h.shape[1])
    for start in range(0, len(rows), at_once):
        here = slice(start, start + at_once)
        some = rows[here]
        values = h if as_it_is else h.index_select(0, some).float()
        s.zero_count[layer] += add_rows(
            values.numpy(),
            (some if as_it_is else torch.arange(len(some))).numpy(),
            nothing if experts is None else experts[some].numpy(),
            groups[here].numpy() if s.groups else nothing,
            thresholds,
            sizes,
            first,
            tables,
            of_groups,
        )


def _compiled(**options):
    """numba's ``njit``, the machine code kept beside this file, or where that cannot be written in the
    user's cache, or nowhere."""

    def compiled(function):
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # no place to keep it
            return numba.njit(function, **options)

    return compiled


@_compiled(nogil=True)
def add_rows(h, rows, owner, group, thresholds, sizes, first, tables, groups):
    """Add the ``rows`` [t] of h [., n] float32 to ``tables``; returns how many of the values are zero.

    tables: (sum |h|, sum h**2, max |h|) float64 [N], (how often |h| is at least epsilon times its row's
    largest [E, N], how often it is among the k largest [K, N]) int64. A row's columns go to ``first`` and up,
    with ``owner`` [t], ascending, to ``first`` + n * owner and up; or owner is empty. groups [G, .] float32,
    or empty: |h| is also added to the row ``group[i]`` of it, from column 0 (n * owner) on.
    """
    sums, squares, highest, above, top = tables
    n, zeros = h.shape[1], 0
    row = np.empty(n, np.float32)
    bits, most = row.view(np.int32), np.empty(1, np.int32)
    run, counts = np.zeros((2, n), np.float32), np.zeros((len(thresholds) + len(sizes), n), np.int32)
    for i in range(rows.size):
        part = n * owner[i] if owner.size else 0
        here = slice(first + part, first + part + n)
        _take(row, h[rows[i]])
        _add(run[0], row)
        _add_squares(run[1], row)
        _raise(highest[here], row)
        if groups.size:
            _add(groups[group[i], part : part + n], row)
        zeros += n - _reaching(bits, np.int32(1))
        most[0] = _most(bits)
        for e in range(thresholds.size):
            _count(counts[e], row, np.float32(thresholds[e] * most.view(np.float32)[0]))
        for s in range(sizes.size):
            _count_largest(counts[thresholds.size + s], bits, sizes[s], most[0])
        last = i + 1 == rows.size or (owner.size > 0 and owner[i + 1] != owner[i])
        if last or i % RUN == RUN - 1:
            _move(sums[here], run[0])
            _move(squares[here], run[1])
            for e in range(thresholds.size):
                _move(above[e, here], counts[e])
            for s in range(sizes.size):
                _move(top[s, here], counts[thresholds.size + s])
    return zeros


@_compiled()
def _count_largest(into, bits, k, most):
    """Count the k largest of ``bits``, int32 [n] >= 0 up to ``most``; of equal ones the first."""
    low, high = np.int32(0), np.int64(most) + 1  # more than k reach low, fewer than k reach high
    near = np.int32(max(0, most - (8 << 23)))  # a 256th of the largest: most often k values reach that
    if _reaching(bits, near) >= k:
        low = near
    reach = _reaching(bits, low)
    while reach != k and high - low > 1:
        middle = np.int32(low + (high - low) // 2)
        result = _reaching(bits, middle)
        if result >= k:
            low, reach = middle, result
        else:
            high = np.int64(middle)
    _count(into, bits, low)
    j = bits.size
    while reach > k:  # ties for the last place
        j -= 1
        if bits[j] == low:
            into[j] -= 1
            reach -= 1


# Each loop is a function of its own, by index and without a branch: so the compiler makes it one of vectors.


@_compiled()
def _take(row, h):
    for j in range(row.size):
        row[j] = abs(h[j])


@_compiled()
def _add(into, row):
    for j in range(into.size):
        into[j] += row[j]


@_compiled()
def _add_squares(into, row):
    for j in range(into.size):
        into[j] += row[j] * row[j]


@_compiled()
def _raise(into, row):
    for j in range(into.size):
        into[j] = max(into[j], row[j])


@_compiled()
def _count(into, values, bar):
    for j in range(into.size):
        into[j] += values[j] >= bar


@_compiled()
def _move(into, of):
    for j in range(into.size):
        into[j] += of[j]
        of[j] = 0


@_compiled(fastmath={"reassoc"})
def _reaching(bits, bar):
    """How many are at least ``bar``; summed as float32, which is exact up to 2**24 and has wider vectors."""
    count = np.float32(0)
    for j in range(bits.size):
        count += np.float32(bits[j] >= bar)
    return np.int64(count)


@_compiled()
def _most(bits):
    result = np.int32(0)
    for j in range(bits.size):
        result = max(result, bits[j])
    return result
