"""Five splits of a domain: by group, never by document; each source in the same share everywhere.

train        what a stage learns           probe_a, probe_b   two disjoint halves for measurements
select       for choosing masks            eval               for scores, free of text seen in the others

Sizes are exact: a split takes its documents group by group in turn, and what is over is left out and counted.
dealing.py says which groups go where.
Everything is ordered by SHA-256 of the seed and the record's id, so the files depend on no order of input.
"""

from collections import Counter
from dataclasses import dataclass, field

from implicit_sparsity.errors import InputError
from implicit_sparsity.randomness import derive_seed

from .contamination import contaminated
from .dealing import deal
from .dedupe import unique
from .distractors import with_choices
from .records import Dropped
from .sampling import in_turn, order_key

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


def split(records: list[dict], options: Options, domain: str) -> Split:
    """Filter, deduplicate, split, decontaminate and give distractors; InputError where documents run out."""
    seed = derive_seed(options.seed, domain, "split")
    ordered = sorted(records, key=lambda record: (record["source"], order_key(seed, record["id"])))
    fitting = [record for record in ordered if _fits(record, options)]
    retained, duplicates = unique(fitting, options.near_duplicate)
    retained, over = _capped(retained, options.per_group)
    lost = [Dropped("too short or too long", r["source"]) for r in ordered if not _fits(r, options)]
    lost += [*duplicates, *over]

    sizes = options.sizes()
    weights = Counter(record["source"] for record in retained)
    queues = _queues(retained, sizes, seed)
    taken = {
        name: _take(queues[name], sizes[name], weights, domain, name) for name in SPLITS if name != "eval"
    }
    rest = [record for name in taken for record in taken[name]]
    candidates = [record for source in sorted(queues["eval"]) for record in queues["eval"][source]]
    reasons = contaminated(candidates, rest, retained, options.ngram, options.near_duplicate)
    clean = {source: [] for source in queues["eval"]}
    for record, reason in zip(candidates, reasons):
        if reason is None:
            clean[record["source"]].append(record)
    hits = Counter(reason for reason in reasons if reason)
    note = f", {sum(hits.values())} more contaminated by the other splits" if hits else ""
    chosen = _take(clean, sizes["eval"], weights, domain, "eval", note)
    taken["eval"] = with_choices(chosen, options.distractors, options.distractor_chars, seed)
    for name in SPLITS:
        taken[name].sort(key=lambda record: order_key(seed, f"order:{record['id']}"))
    unused = len(retained) - sum(map(len, taken.values())) - sum(hits.values())
    dropped = Counter(item.reason for item in lost)
    lost += [
        Dropped(f"contaminated: {reason}", r["source"]) for r, reason in zip(candidates, reasons) if reason
    ]
    taken = {name: taken[name] for name in SPLITS}
    return Split(taken, dropped, unused, dict(sorted(hits.items())), _by_source(lost))


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


def _take(queues: dict, size: int, weights: dict, domain: str, name: str, note: str = "") -> list[dict]:
    """``size`` documents, each source in proportion to its weight as far as it has them (Sainte-Lague)."""
    available = {source: len(queue) for source, queue in sorted(queues.items())}
    total = sum(available.values())
    if total < size:
        counts = ", ".join(f"{source} {n}" for source, n in available.items())
        raise InputError(
            f"split {name} wants {size} documents, {total} available ({counts}{note}): raise the limits of "
            "the sources or lower the sizes of the splits",
            key=domain,
        )
    quota = dict.fromkeys(available, 0)
    for _ in range(size):
        left = [source for source in available if quota[source] < available[source]]
        quota[min(left, key=lambda source: (quota[source] + 0.5) / weights[source])] += 1
    return [record for source, n in quota.items() for record in queues[source][:n]]
