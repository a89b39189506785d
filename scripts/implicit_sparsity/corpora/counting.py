"""What a domain's splits hold and what they lost, by source and split: a row of the table `documents` each.

Counted in the shards themselves; what never reached a split is from the manifest of the splits, and stands in
the rows of split "all" (contamination in those of eval, too).
"""

from collections.abc import Iterator

import numpy as np

from implicit_sparsity.metrics.clusters import trusted

from .records import IN_OTHER_DOMAINS

ALL = "all"


def rows(manifest: dict, tokens) -> Iterator[dict]:
    """Rows of one domain; ``manifest``: of its splits, ``tokens``: its corpora.tokens.Tokens.

    ``tokens`` means the template too; ``cut`` is a share, all else of what is lost a count; NaN: not counted
    there.
    """
    documents = {name: list(_measured(tokens.split(name))) for name in tokens.splits}
    lost = manifest["dropped_by_source"]
    sources = sorted({d["source"] for split in documents.values() for d in split} | set(lost))
    for source in (ALL, *sources):
        chosen = [source] if source != ALL else sources
        of = {name: [d for d in split if d["source"] in chosen] for name, split in documents.items()}
        over = {name: _dropped(entry, chosen) for name, entry in tokens.index["splits"].items()}
        of[ALL], over[ALL] = [d for split in of.values() for d in split], sum(over.values())
        for split, held in of.items():
            before = _lost([lost.get(name, {}) for name in chosen], split)
            row = {"source": source, "split": split} | _row(held)
            yield row | {"over_max_length": over[split]} | before


def _measured(documents) -> Iterator[dict]:
    """Of each document: source, group, tokens of prompt and completion, what was cut."""
    for document in documents:
        prompt = int(np.count_nonzero(document.prompt))
        yield {
            "source": document.meta["source"],
            "group": document.meta["group"],
            "prompt": prompt,
            "completion": len(document.ids) - prompt,
            "cut": document.meta.get("cut", ""),
        }


def _row(documents: list[dict]) -> dict:
    _, counts = np.unique([f"{d['source']}\0{d['group']}" for d in documents], return_counts=True)
    row = {
        "documents": len(documents),
        "groups": len(counts),
        "trusted": trusted(len(counts)),
        "largest_group": counts.max() / len(documents) if documents else np.nan,
    }
    for part in ("prompt", "completion"):
        lengths = [d[part] for d in documents]
        row[f"{part}_tokens"] = np.mean(lengths) if lengths else np.nan
        row[f"{part}_tokens_max"] = max(lengths, default=np.nan)
    cut = [d["cut"] for d in documents if d["cut"]]
    row["cut"] = len(cut) / len(documents) if documents else np.nan
    return row | {"answers_cut": cut.count("completion")}


def _dropped(entry: dict, sources: list) -> int:
    """Documents of a split that `on_long: drop` left out."""
    return sum(entry["dropped_by_source"].get(name, 0) for name in sources)


def _lost(counts: list[dict], split: str) -> dict:
    """Documents that never reached a split, of some sources."""

    def total(reason):
        return sum(n for each in counts for name, n in each.items() if name.startswith(reason))

    earlier = {
        "exact_duplicates": "exact duplicate",
        "near_duplicates": "near duplicate",
        "in_other_domains": IN_OTHER_DOMAINS,
        "over_group_cap": "over_group_cap",
        "wrong_length": "too short or too long",
    }
    before = {column: total(reason) if split == ALL else np.nan for column, reason in earlier.items()}
    return before | {"contaminated": total("contaminated") if split in ("eval", ALL) else np.nan}
