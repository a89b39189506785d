"""Groups of one source to the splits of its domain, so that each has documents and groups enough.

Documents of a group are nearly one observation: a split of few groups has wide intervals, however many its
documents. Several ways are tried in turn, and the first is taken that leaves no split short of documents and
none of groups, else the one that leaves the fewest short: by seed; by seed, but the largest split takes no
more than it needs, and the rest goes to the splits with the fewest groups; the same with the largest groups
first, which the largest split takes; and the largest groups first, each where it is missed most.
"""

from functools import partial
from math import ceil

from implicit_sparsity.metrics.clusters import FEWEST_GROUPS

from .sampling import order_key

EVAL_MARGIN = 1.5  # eval gets more than its size asks for: some of its documents will be contaminated


def deal(groups: dict[str, int], sizes: dict[str, float], seed: int) -> dict[str, list[str]]:
    """Groups (name -> documents) to splits (name -> documents wanted of this source)."""
    share = min(1.0, sum(groups.values()) / sum(sizes.values()))
    wanted = {name: size * share for name, size in sizes.items() if size}
    needs = {name: size * (EVAL_MARGIN if name == "eval" else 1) for name, size in wanted.items()}
    by_seed = sorted(groups, key=lambda group: order_key(seed, f"group:{group}"))
    by_size = sorted(by_seed, key=lambda group: -groups[group])
    ways = (
        partial(_in_proportion, by_seed),
        partial(_sparing, by_seed),
        partial(_sparing, by_size),
        partial(_sparing, by_size, eager=True),
        partial(_in_proportion, by_size),
    )
    best: tuple[tuple, dict] | None = None
    for way in ways:
        dealt = way(groups, needs)
        lacks = _lacks(dealt, groups, wanted)
        if best is None or lacks < best[0]:
            best = (lacks, dealt)
        if lacks == (0, 0):
            break
    return {name: best[1].get(name, []) for name in sizes}


def _lacks(dealt, groups, wanted) -> tuple[int, int]:
    """(documents that splits are short of, the same of groups, squared, so that all get some). No interval
    is over documents of train, so it may have few groups."""
    filled = {name: sum(groups[group] for group in dealt[name]) for name in wanted}
    documents = sum(int(max(0.0, size - filled[name])) for name, size in wanted.items())
    least = {name: min(FEWEST_GROUPS, ceil(size)) for name, size in wanted.items() if name != "train"}
    return documents, sum(max(0, few - len(dealt[name])) ** 2 for name, few in least.items())


def _in_proportion(order, groups, needs) -> dict[str, list[str]]:
    """Each group to the split that is emptiest for its size."""
    dealt, filled = {name: [] for name in needs}, dict.fromkeys(needs, 0)
    for group in order:
        name = min(needs, key=lambda name: (filled[name] + groups[group]) / needs[name])
        dealt[name].append(group)
        filled[name] += groups[group]
    return dealt


def _sparing(order, groups, needs, eager=False) -> dict[str, list[str]]:
    """Each group to the emptiest split that still needs documents, then to one with the fewest groups, but
    not to the largest split. ``eager``: that one takes first."""
    dealt, filled = {name: [] for name in needs}, dict.fromkeys(needs, 0)
    largest = max(needs, key=needs.get)
    others = [name for name in needs if name != largest] or [largest]
    for group in order:
        waiting = [name for name in needs if filled[name] < needs[name]]
        if eager and largest in waiting:
            name = largest
        elif waiting:
            name = min(waiting, key=lambda name: (filled[name] + groups[group]) / needs[name])
        else:
            name = min(others, key=lambda name: len(dealt[name]))
        dealt[name].append(group)
        filled[name] += groups[group]
    return dealt
