"""One source of one domain: from its loader to a checked file of records and a manifest."""

import inspect
from collections import Counter
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.randomness import derive_seed
from implicit_sparsity.storage.files import new_file, sha256, write_json

from . import loaders
from .records import Dropped, checked, write_jsonl

GENERAL = ("loader", "limit", "seed")  # options of every source; the others are the loader's own


def collect(documents, manifest, domain: str, source: str, options: dict) -> dict:
    """Write ``documents`` (JSONL) and ``manifest`` (JSON), each complete or not at all; return the manifest.

    ``options``: loader (default: the source's name), limit, seed, and the loader's own. Ids become
    ``source:id``. Raises InputError for unknown options, for what the loader refuses, and for no record.
    """
    name = options.get("loader") or source
    loader = loaders.load(name)
    own = _own_options(loader, name, options)
    limit, seed = options.get("limit"), derive_seed(options.get("seed", 0), domain, source)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InputError(f"must be a whole number from 1, found {limit!r}", key=f"{domain}.{source}.limit")
    records, dropped = [], Counter()
    for item in checked(_named(loader.documents(limit, seed, **own), source), documents, on_bad="drop"):
        if isinstance(item, Dropped):
            dropped[item.reason] += 1
        else:
            records.append(item)
    if not records:
        raise InputError(f"no records ({_reasons(dropped)})", key=f"{domain}.{source}")
    with new_file(documents) as path, new_file(manifest) as record:
        write_jsonl(path, records)
        summary = _manifest(domain, source, name, options, records, dropped, loader, path, documents)
        write_json(record, summary)
    return summary


def _own_options(loader, name: str, options: dict) -> dict:
    own = {key: value for key, value in options.items() if key not in GENERAL}
    accepted = inspect.signature(loader.documents).parameters
    known = [key for key in accepted if key not in GENERAL]
    if unknown := sorted(set(own) - set(known)):
        raise InputError(f"loader {name} has no such option (it has: {', '.join(known)})", key=unknown[0])
    empty = inspect.Parameter.empty
    if missing := [key for key in known if accepted[key].default is empty and key not in own]:
        raise InputError(f"loader {name} needs this option", key=missing[0])
    return own


def _named(items, source: str):
    """(place, item) pairs with ``source`` filled in and put before the ids."""
    for item in items:
        if isinstance(item, dict):
            item = item | {"id": f"{source}:{item['id']}", "source": source}
        yield source, item


def _reasons(counts: Counter) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items())) or "the loader gave none"


def _manifest(domain, source, name, options, records, dropped, loader, path, documents) -> dict:
    lengths = [len(record["completion"]) for record in records]
    return {
        "domain": domain,
        "source": source,
        "loader": name,
        "options": {key: options[key] for key in sorted(options)},
        "documents": len(records),
        "groups": len({record["group"] for record in records}),
        "licences": sorted({record["licence"] for record in records}),
        "completion_chars_mean": round(sum(lengths) / len(lengths), 1),
        "dropped": dict(sorted(dropped.items())),
        "versions": dict(sorted(loader.versions().items())),
        "sha256": {Path(documents).name: sha256(path)},
    }
