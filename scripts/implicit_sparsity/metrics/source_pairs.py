"""A domain's sources against each other: how much of what sets domains apart is the data set?

Two sources, of one domain or of two, are compared by the measures and intervals of two domains. A source's
half is the parts of its domain's half that hold it alone, of the larger source no more of them than come to
the tokens of the smaller: else the larger's steadier sets would count as another use of neurons. Sources
have fewer tokens than their domains, and with fewer tokens SEP is smaller, as noise lowers ceiling and signal
alike. So what two sources of one domain give stands beside two sources of different domains, as unmixed and
at about as many tokens, and not beside whole domains.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from . import clusters


class Pair(NamedTuple):
    """Two sources, each (domain, source): which parts of each half, bool [parts in use], are taken of each;
    ``numbers``: columns tokens (of the half that has fewest), n, groups and trusted."""

    a: tuple
    b: tuple
    parts: dict
    numbers: dict

    def halves(self, halves: dict) -> dict:
        """{source: its two ``separation.Half``} of one layer, from each domain's."""
        return {
            key: [half.of(taken) for half, taken in zip(halves[key[0]], parts)]
            for key, parts in self.parts.items()
        }


def pairs(datasets: dict) -> list:
    """All pairs of the sources of domains that have two or more of which both halves have a part."""
    sources = {}
    for domain, dataset in datasets.items():
        here = _sources(dataset)
        sources |= {(domain, name): one for name, one in here.items() if len(here) > 1}
    return [_pair(a, b, sources[a], sources[b]) for a, b in combinations(sources, 2)]


def named(a, b) -> dict:
    """Columns of two domains, or of two sources (domain, source)."""
    (domain_a, source_a), (domain_b, source_b) = ((x, "") if isinstance(x, str) else x for x in (a, b))
    return {"domain_a": domain_a, "domain_b": domain_b, "source_a": source_a, "source_b": source_b}


def units_by_source(datasets: dict, places: dict) -> dict:
    """(domain, source) -> units of half a and of half b, of every domain that has two or more sources.

    datasets: domain -> store of ``gradients``; places: domain -> numbers of its units of either half, which
    are groups of documents in the order in which they come. A unit of several sources is none's.
    """
    result = {}
    for domain, dataset in datasets.items():
        if "source" not in dataset.coords:
            continue
        metadata = (dataset[name].transpose("half", "document").values for name in ("group", "source"))
        owners = []
        for groups, names in zip(*metadata):
            of_unit = [
                set(names[place == i]) for place in [clusters.places(groups)] for i in range(place.max() + 1)
            ]
            owners.append([next(iter(some)) if len(some) == 1 else "" for some in of_unit])
        both = [name for name in dict.fromkeys(owners[0]) if name and name in owners[1]]
        for name in both if len(both) > 1 else ():
            own = (units[np.array(of) == name] for units, of in zip(places[domain], owners))
            result[domain, str(name)] = list(own)
    return result


def _sources(dataset) -> dict:
    """source -> (tokens, documents) of its parts, int [half][parts in use], 0 in those of others."""
    if not {"source", "group_documents", "group_sum_abs"} <= set(dataset.variables):
        return {}
    tokens, documents, names = (
        dataset[name].transpose("half", "group").values
        for name in ("group_tokens", "group_documents", "source")
    )
    result = {}
    for name in dict.fromkeys(names[tokens > 0].tolist()):
        own = (tokens > 0) & (names == name)
        if name and own.any(axis=1).all():
            result[name] = [
                [np.where(mine, number, 0)[used > 0] for number, mine, used in zip(numbers, own, tokens)]
                for numbers in (tokens, documents)
            ]
    return result


def _pair(a, b, first, second) -> Pair:
    budget = min(half.sum() for tokens, _ in (first, second) for half in tokens)
    parts, n, groups, least = {}, 0, [], []
    for key, (tokens, documents) in ((a, first), (b, second)):
        parts[key] = [_up_to(half, budget) for half in tokens]
        n += sum(int(half[taken].sum()) for half, taken in zip(documents, parts[key]))
        groups += [int(taken.sum()) for taken in parts[key]]
        least += [int(half[taken].sum()) for half, taken in zip(tokens, parts[key])]
    numbers = {"tokens": min(least), "n": n, "groups": min(groups), "trusted": clusters.trusted(groups)}
    return Pair(a, b, parts, numbers)


def _up_to(tokens, budget) -> np.ndarray:
    """The first parts [G] whose ``tokens`` together are nearest ``budget``, at least one; bool [G]."""
    own = np.flatnonzero(tokens)
    last = int(np.abs(np.cumsum(tokens[own]) - budget).argmin())
    return np.isin(np.arange(len(tokens)), own[: last + 1])
