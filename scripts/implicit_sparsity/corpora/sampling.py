"""Drawing by seed: SHA-256 of the seed and a name, so that one record's place depends on no other record."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from .records import Dropped


def order_key(seed: int, identifier: str) -> bytes:
    """Sorting by this key shuffles by seed, and the place of a record depends on no other record."""
    return hashlib.sha256(f"{seed}:{identifier}".encode()).digest()


def in_turn(groups: list[list]) -> list:
    """First item of every group, then the second of every group that has one, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]


def sample(items: Iterable, limit: int | None, seed: int) -> Iterator:
    """All Dropped, then ``limit`` of the records drawn by seed, in a shuffled order; memory is O(limit)."""
    retained: list[dict] = []

    def records() -> Iterator[dict]:
        for item in items:
            if isinstance(item, Dropped):
                retained.append(item)
            else:
                yield item

    def by_seed(record: dict) -> bytes:
        return order_key(seed, record["id"])

    drawn = sorted(records(), key=by_seed) if limit is None else heapq.nsmallest(limit, records(), by_seed)
    yield from retained
    yield from drawn


def within(items: Iterable, max_chars: int | None) -> Iterator:
    """The items, a Dropped in place of each record that is too long."""
    for item in items:
        is_long = isinstance(item, dict) and too_long(item, max_chars)
        yield Dropped("over max_chars") if is_long else item


def too_long(record: dict, max_chars: int | None) -> bool:
    """Whether prompt and completion together have more than ``max_chars`` characters (None: never)."""
    return max_chars is not None and len(record["prompt"]) + len(record["completion"]) > max_chars
