"""Five splits of a domain: by group, never by document; each source in the same share everywhere.

train        what a stage learns           probe_a, probe_b   two disjoint halves for measurements
select       for choosing masks            eval               for scores, free of text seen in the others

Sizes are exact: a split takes its documents group by group in turn, and what is over is left out and counted.
Everything is ordered by SHA-256 of the seed and the record's id, so the files depend on no order of input.
"""

from collections import Counter
from dataclasses import dataclass, field

from implicit_sparsity.errors import InputError
from implicit_sparsity.randomness import derive_seed

from .contamination import contaminated
from .dedupe import unique
from .distractors import with_choices
from .sampling import order_key

SPLITS = ("train", "probe_a", "probe_b", "select", "eval")
EVAL_MARGIN = 1.5  # eval gets more groups than its size asks for: some of its documents will be contaminated


@dataclass(frozen=True)
class Options:
    """Sizes in documents (``probe``: of each half); thresholds of duplicates; lengths in characters."""

    train: int
    probe: int
    select: int
    eval: int
    seed: int = 0
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
    """The documents of each split, what was left out and why."""

    documents: dict[str, list[dict]]
    dropped: Counter
    unused: int
    contamination: dict[str, int] = field(default_factory=dict)


def split(records: list[dict], options: Options, domain: str) -> Split:
    """Filter, deduplicate, split, decontaminate and give distractors; InputError where documents run out."""
    seed = derive_seed(options.seed, domain, "split")
    ordered = sorted(records, key=lambda record: (record["source"], order_key(seed, record["id"])))
    fitting = [record for record in ordered if _fits(record, options)]
    retained, duplicates = unique(fitting, options.near_duplicate)
    dropped = Counter(item.reason for item in duplicates)
    dropped["too short or too long"] = len(ordered) - len(fitting)

    sizes = options.sizes()
    queues = _queues(retained, sizes, seed)
    taken = {name: _take(queues[name], sizes[name], domain, name) for name in SPLITS if name != "eval"}
    rest = [record for name in taken for record in taken[name]]
    candidates = [record for source in sorted(queues["eval"]) for record in queues["eval"][source]]
    reasons = contaminated(candidates, rest, retained, options.ngram, options.near_duplicate)
    clean = {source: [] for source in queues["eval"]}
    for record, reason in zip(candidates, reasons):
        if reason is None:
            clean[record["source"]].append(record)
    hits = Counter(reason for reason in reasons if reason)
    note = f", {sum(hits.values())} more contaminated by the other splits" if hits else ""
    chosen = _take(clean, sizes["eval"], domain, "eval", note)
    taken["eval"] = with_choices(chosen, options.distractors, options.distractor_chars, seed)
    for name in SPLITS:
        taken[name].sort(key=lambda record: order_key(seed, f"order:{record['id']}"))
    unused = len(retained) - sum(map(len, taken.values())) - sum(hits.values())
    return Split({name: taken[name] for name in SPLITS}, dropped, unused, dict(sorted(hits.items())))


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
        dealt = deal({group: len(members) for group, members in groups.items()}, sizes, seed)
        for name in SPLITS:
            queues[name][source] = _in_turn([groups[group] for group in dealt[name]])
    return queues


def deal(groups: dict[str, int], sizes: dict[str, int], seed: int) -> dict[str, list[str]]:
    """Groups (name -> documents) to splits, each to the one that is emptiest for its size.

    In an order drawn by seed; where that leaves a split shorter than its share, the largest groups first.
    """
    total, wanted = sum(groups.values()), sum(sizes.values())
    weights = {name: size * (EVAL_MARGIN if name == "eval" else 1) for name, size in sizes.items() if size}
    by_seed = sorted(groups, key=lambda group: order_key(seed, f"group:{group}"))
    best: tuple[float, dict] | None = None
    for order in (by_seed, sorted(by_seed, key=lambda group: -groups[group])):
        dealt, filled = {name: [] for name in sizes}, dict.fromkeys(weights, 0)
        for group in order:
            name = min(weights, key=lambda name: (filled[name] + groups[group]) / weights[name])
            dealt[name].append(group)
            filled[name] += groups[group]
        share = min(1.0, total / wanted)
        short = sum(max(0.0, sizes[name] * share - filled[name]) for name in weights)
        if best is None or short < best[0]:
            best = (short, dealt)
        if short < 1:
            break
    return best[1]


def _in_turn(groups: list[list[dict]]) -> list[dict]:
    """First document of every group, then the second of every group that has one, and so on."""
    longest = max(map(len, groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]


def _take(queues: dict[str, list[dict]], size: int, domain: str, name: str, note: str = "") -> list[dict]:
    """``size`` documents, each source in proportion to what it has (largest remainders)."""
    available = {source: len(queue) for source, queue in sorted(queues.items())}
    total = sum(available.values())
    if total < size:
        counts = ", ".join(f"{source} {n}" for source, n in available.items())
        raise InputError(
            f"split {name} wants {size} documents, {total} available ({counts}{note}): raise the limits of "
            "the sources or lower the sizes of the splits",
            key=domain,
        )
    if not size:
        return []
    exact = {source: size * n / total for source, n in available.items()}
    quota = {source: int(value) for source, value in exact.items()}
    by_remainder = sorted(quota, key=lambda source: (quota[source] - exact[source], source))
    for source in by_remainder[: size - sum(quota.values())]:
        quota[source] += 1
    return [record for source in sorted(quota) for record in queues[source][: quota[source]]]
