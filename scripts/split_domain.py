"""Split the documents of one domain: by group, deduplicated, eval free of what the others hold."""

import logging
from collections import Counter
from pathlib import Path

from implicit_sparsity.corpora import manifest, records
from implicit_sparsity.corpora.records import read_jsonl, write_jsonl
from implicit_sparsity.corpora.splits import Options, split
from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics.clusters import FEWEST_GROUPS, trusted
from implicit_sparsity.storage.files import new_folder, write_json
from implicit_sparsity.workflow import job

log = logging.getLogger(__name__)
SHARED = "%s: of %d documents %s: left out here, as what one domain trains another would evaluate"
DROPPED = "%s: left out of %d documents: %s"
WARNING = "%s: the %d documents of %s are of %d groups: below %d no interval is to be trusted"


def split_domain(splits, sources, options, domain=None, earlier=()):
    """``splits``: the folder to make; ``sources``: the JSONL files; ``options``: fields of splits.Options.

    ``earlier``: the files of domains that keep what they share with this one, <domain>/sources/<name>.jsonl.
    """
    sources = [sources] if isinstance(sources, str | Path) else list(sources)
    domain = domain or Path(splits).parent.name
    chosen = _options(options)
    records = []
    for path in sources:
        records += read_jsonl(path)[0]
    if twice := [name for name, n in Counter(record["id"] for record in records).items() if n > 1]:
        raise InputError(f"id {twice[0]!r} is in two sources", key=domain)
    result = split(records, chosen, domain, _others(earlier))
    with new_folder(splits) as folder:
        for name, documents in result.documents.items():
            write_jsonl(folder / f"{name}.jsonl", documents)
        described = manifest.of_splits(domain, result, chosen, sources, folder)
        write_json(folder / "manifest.json", described)
    _log_dropped(domain, len(records), result.dropped)
    for name, n in described["groups"].items():
        if described["documents"][name] and not trusted(n):
            log.warning(WARNING, domain, described["documents"][name], name, n, FEWEST_GROUPS)


def _log_dropped(domain, total, dropped):
    """What was left out, in the log: a warning where other domains have it, or where it is a tenth of all."""
    counts = ", ".join(f"{n} {reason}" for reason, n in sorted(dropped.items()))
    if any(reason.startswith(records.IN_OTHER_DOMAINS) for reason in dropped):
        log.warning(SHARED, domain, total, counts)
    elif dropped:
        is_many = sum(dropped.values()) > total / 10
        log.log(logging.WARNING if is_many else logging.INFO, DROPPED, domain, total, counts)


def _others(paths):
    """(domain, record) pairs of the files, read as they are asked for."""
    for path in job.listed(paths):
        for record in read_jsonl(path)[0]:
            yield Path(path).parts[-3], record


def _options(options):
    try:
        return Options(**options)
    except TypeError as error:
        raise InputError(f"splits: {error}".replace("Options.__init__() ", "")) from None


if __name__ == "__main__":
    job.run(split_domain, snakemake)
