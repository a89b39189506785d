"""What the activation pass sums up of rows on a GPU, of each expert by itself, without waiting for it.
``host_sums`` is the same for rows in the host's memory.

Rows that are sorted by expert are laid out in blocks of ``BLOCK`` rows that hold one expert's each, filled up
with zeros: S rows of X experts fit S // BLOCK + X blocks, whatever the routing, so that no shape depends on a
value. Sums over a block are plain reductions; those of blocks are put together in float64. On a GPU the
reductions over blocks are one compiled kernel that reads the table once, where eager PyTorch reads it a dozen
times.

Shapes: t rows, n columns, X experts (1: a dense layer), E thresholds, B blocks of R rows.
"""

import functools
import logging

import torch

from implicit_sparsity.errors import first_line
from implicit_sparsity.metrics.overlap import top_sizes

log = logging.getLogger(__name__)
BLOCK = 32
AT_ONCE = 2**24  # values summed at once: 64 MiB, and float32 counts of them are exact


def add(statistics, layer: int, first: int, h, rows, groups, experts=None, parts: int = 1) -> None:
    """Add ``rows`` [t] of h [T, n] to the tables of an ``ActivationStatistics``, neurons from ``first`` on.

    ``groups`` [t], where it has groups: each row's group of documents; ``experts`` [T], ascending, of
    ``parts``: whose each row of h is.
    """
    n = h.shape[1]
    here, at_once = slice(first, first + parts * n), max(1, AT_ONCE // n)
    pieces = rows.split(at_once)
    of_groups = groups.split(at_once) if statistics.groups else pieces
    for some, group in zip(pieces, of_groups, strict=True):
        values = h.index_select(0, some).abs_()
        expert = None if experts is None else experts[some]
        if statistics.groups:
            _add_groups(statistics, layer, values, group, expert, parts)
        _count_top(statistics.top_count[layer, :, here], statistics.top_k, values, expert)
        sums = columns(values, expert, parts, statistics.thresholds)
        statistics.sum_abs[layer, here] += sums["sum"]
        statistics.sum_sq[layer, here] += sums["squares"]
        highest = statistics.max_abs[layer, here]
        highest.copy_(highest.maximum(sums["largest"]))
        statistics.zero_count[layer] += sums["zeros"].sum().long()
        statistics.above_count[layer, :, here] += sums["above"].long()


def _add_groups(statistics, layer, values, group, expert, parts):
    if expert is not None:
        sums = statistics.group_routed[layer].view(-1, values.shape[1])
        sums.index_add_(0, group * parts + expert, values.float())
    elif values.is_cuda:  # many rows add up to few: as a product, since atomic sums would queue up
        mine = group == torch.arange(statistics.groups, device=group.device)[:, None]
        statistics.group_plain[layer] += torch.mm(mine.to(values.dtype), values, out_dtype=torch.float32)
    else:
        statistics.group_plain[layer].index_add_(0, group, values.float())


def _count_top(counts, top_k, values, expert):
    """Add to counts [K, parts * n] who is among the k largest of each row."""
    n = values.shape[1]
    sizes = top_sizes(top_k, n)
    order = largest_indices(values, max(sizes))
    if expert is not None:
        order += expert[:, None] * n
    for row, k in enumerate(sizes):
        tally(counts[row], order[:, :k].reshape(-1))


def columns(values, expert, experts: int, thresholds) -> dict:
    """Column sums of values [t, n] >= 0, those of expert x in columns x * n and up, float64 [X * n]: "sum",
    "squares", "largest", "zeros" (counts of zeros) and "above" [E, X * n] (counts of values that are at least
    epsilon times their row's largest).

    ``expert`` [t], ascending, says whose each row is; None in a dense layer.
    """
    t, n = values.shape
    largest = values.amax(1, keepdim=True).float()
    owner, idle = None, 0
    if expert is None:
        blocks, largest = values.unsqueeze(0), largest.unsqueeze(0)
    else:
        place, owner = _places(expert, experts)
        idle = len(owner) * BLOCK - t
        blocks = values.new_zeros(t + idle, n).index_copy_(0, place, values).view(-1, BLOCK, n)
        # nothing is above a share of infinity
        largest = (
            largest.new_full((t + idle, 1), float("inf")).index_copy_(0, place, largest).view(-1, BLOCK, 1)
        )
    sums, squares, highest, zeros, *above = _block_sums(values.is_cuda)(blocks, largest, tuple(thresholds))

    def joined(parts, how="sum"):
        if owner is None:
            return parts[0].double()
        zero = torch.zeros(experts, n, dtype=torch.float64, device=parts.device)
        if how == "sum":
            return zero.index_add_(0, owner, parts.double()).flatten()
        return zero.scatter_reduce_(0, owner[:, None].expand_as(parts), parts.double(), "amax").flatten()

    result = {"sum": joined(sums), "squares": joined(squares), "largest": joined(highest, "amax")}
    counted = zeros.double().sum() - idle * n
    return result | {"zeros": counted, "above": torch.stack([joined(counts) for counts in above])}


def _places(expert, experts: int):
    """(where each of the sorted rows goes, [t] into B * BLOCK places; whose each block is, [B])."""
    t = len(expert)
    counts = torch.zeros(experts, dtype=torch.int64, device=expert.device)
    counts.scatter_add_(0, expert, torch.ones_like(expert))
    ends = ((counts + BLOCK - 1) // BLOCK).cumsum(0)  # of each expert's blocks
    starts = torch.nn.functional.pad(ends, (1, 0))[:-1] * BLOCK - (counts.cumsum(0) - counts)
    place = torch.arange(t, device=expert.device) + starts[expert]
    numbers = torch.arange(t // BLOCK + experts, device=expert.device)
    return place, torch.searchsorted(ends, numbers, right=True).clamp_(max=experts - 1)


def eager_sums(blocks, largest, thresholds):
    """Over the rows of each block [B, R, n]: sum, sum of squares, maximum, zeros, and per threshold how many
    values reach that share of ``largest`` [B, R, 1]; float32 [B, n], counts exact up to 2**24."""
    wide = blocks.float()
    other = torch.empty_like(wide)  # comparisons straight to float: a table of booleans is slower to sum
    result = [wide.sum(1), torch.mul(wide, wide, out=other).sum(1), wide.amax(1)]
    result.append(torch.eq(wide, 0, out=other).sum(1))
    result += [torch.ge(wide, epsilon * largest, out=other).sum(1) for epsilon in thresholds]
    return tuple(result)


def fused_sums(blocks, largest, thresholds):
    """The same in a form that a compiler fuses into one pass."""
    wide = blocks.float()
    result = [wide.sum(1), (wide * wide).sum(1), wide.amax(1), (wide == 0).float().sum(1)]
    result += [(wide >= epsilon * largest).float().sum(1) for epsilon in thresholds]
    return tuple(result)


@functools.cache
def _block_sums(gpu: bool):
    """``eager_sums``, or on a GPU ``fused_sums`` compiled; eager there too where it does not compile."""
    if not gpu:
        return eager_sums
    compiled, broken = torch.compile(fused_sums, dynamic=True), []

    def sums(*arguments):
        if not broken:
            try:
                return compiled(*arguments)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # no compiler on the node, say
                broken.append(error)
                log.warning("activation sums run uncompiled, which is slower: %s", first_line(error))
        return eager_sums(*arguments)

    return sums


def largest_indices(values, k: int):
    """Columns of the k largest values of each row, largest first: values [t, n] -> int64 [t, k].

    The k largest are in the k groups with the largest maxima, so only those groups are searched. At 1 % of
    the columns this takes a third of the time of ``topk`` on whole rows.
    """
    n, size = values.shape[1], 16
    while size > 1 and (n % size or size * size * k > n):
        size //= 2
    if size == 1:
        return values.topk(k, dim=1).indices
    groups = values.view(len(values), size, n // size)  # member j of group i is column j * n / size + i
    best = groups.amax(1).topk(k, dim=1, sorted=False).indices
    within = groups.gather(2, best[:, None, :].expand(-1, size, -1)).flatten(1)
    result = within.topk(k, dim=1).indices
    return result // k * (n // size) + best.gather(1, result % k)


def tally(counts, index):
    """counts[i] += how often i is in ``index``."""
    counts.scatter_add_(0, index, torch.ones_like(index))
