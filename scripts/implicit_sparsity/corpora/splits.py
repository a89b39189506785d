"""Five splits of a domain: by group, never by document; each source in the same share everywhere.

train        what a stage learns           probe_a, probe_b   two disjoint halves for measurements
select       for choosing masks            eval               for scores, free of text seen in the others

Sizes are exact: a split takes its documents group by group in turn, and what is over is left out and counted.
dealing.py says which groups go where.
Everything is ordered by SHA-256 of the seed and the record's id, so the files depend on no order of input.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from implicit_sparsity.errors import InputError
from implicit_sparsity.randomness import derive_seed

from . import across
from .contamination import contaminated
from .dealing import deal
from .dedupe import unique
from .distractors import with_choices
from .records import Dropped
from .sampling import in_turn, order_key
from .shortage import advice, left_out

SPLITS = ("train", "probe_a", "probe_b", "select", "eval")


@dataclass(frozen=True)
class Options:
    """Sizes in documents (``probe``: of each half); thresholds of duplicates; lengths in characters.

    ``per_group``: most documents of one group; False: all.
    """

    train: int
    probe: int
    select: int
    eval: int
    seed: int = 0
    per_group: int | bool = False
    near_duplicate: float = 0.8
    ngram: int = 13
    distractors: int = 3
    distractor_chars: int = 300
    min_chars: int = 0
    max_chars: int | None = None

    def sizes(self) -> dict[str, int]:
        halves = {"probe_a": self.probe, "probe_b": self.probe}
        return {"train": self.train, **halves, "select": self.select, "eval": self.eval}


@dataclass
class Split:
    """The documents of each split, what was left out and why; ``by_source``: the same of each source."""

    documents: dict[str, list[dict]]
    dropped: Counter
    unused: int
    contamination: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, dict[str, int]] = field(default_factory=dict)


def split(
    records: list[dict], options: Options, domain: str, others: Iterable[tuple[str, dict]] = ()
) -> Split:
    """Filter, deduplicate, split, decontaminate and give distractors; InputError where documents run out.

    ``others``: (domain, record) pairs of domains that keep what they share with this one.
    """
    seed, sizes = derive_seed(options.seed, domain, "split"), options.sizes()
    retained, lost = _retained(records, options, seed, others)
    weights = Counter(record["source"] for record in retained)
    why, remark = advice(retained, sizes, lost, options.per_group), left_out(lost)
    queues = _queues(retained, sizes, seed)

    def take(name: str, queue: dict, note: str = "") -> list[dict]:
        return _take(queue, sizes[name], weights, f"{domain}: split {name}", note + remark, why)

    taken = {name: take(name, queues[name]) for name in SPLITS if name != "eval"}
    rest = [record for name in taken for record in taken[name]]
    clean, hits = _clean(queues["eval"], rest, retained, options)
    note = f", {len(hits)} more contaminated by the other splits" if hits else ""
    chosen = take("eval", clean, note)
    taken["eval"] = with_choices(chosen, options.distractors, options.distractor_chars, seed)
    for name in SPLITS:
        taken[name].sort(key=lambda record: order_key(seed, f"order:{record['id']}"))
    unused = len(retained) - sum(map(len, taken.values())) - len(hits)
    dropped, contamination = (Counter(item.reason for item in items) for items in (lost, hits))
    by_source = _by_source([*lost, *(Dropped(f"contaminated: {hit.reason}", hit.source) for hit in hits)])
    return Split(taken, dropped, unused, dict(sorted(contamination.items())), by_source)


def _retained(records, options: Options, seed: int, others) -> tuple[list[dict], list[Dropped]]:
    """The documents that can be dealt, in an order by seed, and what was left out."""
    ordered = sorted(records, key=lambda record: (record["source"], order_key(seed, record["id"])))
    fitting = [record for record in ordered if _fits(record, options)]
    lost = [Dropped("too short or too long", r["source"]) for r in ordered if not _fits(r, options)]
    own, elsewhere = across.without(fitting, others, options.near_duplicate, options.ngram)
    distinct, duplicates = unique(own, options.near_duplicate)
    retained, over = _capped(distinct, options.per_group)
    return retained, [*lost, *elsewhere, *duplicates, *over]


def _clean(queues: dict, rest, pool, options: Options) -> tuple[dict[str, list[dict]], list[Dropped]]:
    """source -> its documents for eval that no other split has text of, and those that one has."""
    candidates = [record for source in sorted(queues) for record in queues[source]]
    reasons = contaminated(candidates, rest, pool, options.ngram, options.near_duplicate)
    clean: dict[str, list[dict]] = {source: [] for source in queues}
    hits = []
    for record, reason in zip(candidates, reasons):
        if reason is None:
            clean[record["source"]].append(record)
        else:
            hits.append(Dropped(reason, record["source"]))
    return clean, hits


def _by_source(lost: list[Dropped]) -> dict[str, dict[str, int]]:
    """source -> reason -> documents."""
    counts = sorted(Counter((item.source, item.reason) for item in lost).items())
    return {source: {reason: n for (of, reason), n in counts if of == source} for (source, _), _ in counts}


def _capped(records: list[dict], most: int | bool) -> tuple[list[dict], list[Dropped]]:
    """The first ``most`` of every group, in the order given, and the others."""
    seen, retained, over = Counter(), [], []
    for record in records:
        seen[record["source"], record["group"]] += 1
        if not most or seen[record["source"], record["group"]] <= most:
            retained.append(record)
        else:
            over.append(Dropped("over_group_cap", record["source"]))
    return retained, over


def _fits(record: dict, options: Options) -> bool:
    length = len(record["prompt"]) + len(record["completion"])
    return length >= options.min_chars and (options.max_chars is None or length <= options.max_chars)


def _queues(records: list[dict], sizes: dict[str, int], seed: int) -> dict[str, dict[str, list[dict]]]:
    """split -> source -> its documents in the order in which they are to be taken."""
    by_source: dict[str, dict[str, list[dict]]] = {}
    for record in records:
        by_source.setdefault(record["source"], {}).setdefault(record["group"], []).append(record)
    queues = {name: {} for name in SPLITS}
    for source, groups in sorted(by_source.items()):
        share = sum(map(len, groups.values())) / len(records)
        wanted = {name: size * share for name, size in sizes.items()}
        dealt = deal({group: len(members) for group, members in groups.items()}, wanted, seed)
        for name in SPLITS:
            queues[name][source] = in_turn([groups[group] for group in dealt[name]])
    return queues


def _take(queues: dict, size: int, weights: dict, place: str, remark: str, why: str) -> list[dict]:
    """``size`` documents, each source in proportion to its weight as far as it has them (Sainte-Lague).

    InputError where there are fewer: ``place``, numbers with ``remark``, and ``why``.
    """
    available = {source: len(queue) for source, queue in sorted(queues.items())}
    total = sum(available.values())
    if total < size:
        counts = ", ".join(f"{source} {n}" for source, n in available.items())
        raise InputError(
            f"{place} wants {size} documents, {total} available ({counts or 'none'}{remark}): {why}"
        )
    quota = dict.fromkeys(available, 0)
    for _ in range(size):
        left = [source for source in available if quota[source] < available[source]]
        quota[min(left, key=lambda source: (quota[source] + 0.5) / weights[source])] += 1
    return [record for source, n in quota.items() for record in queues[source][:n]]
