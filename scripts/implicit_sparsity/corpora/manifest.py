"""What is written beside the splits: where every document came from, and what became of the others."""

import dataclasses
import platform
from pathlib import Path

from implicit_sparsity.storage.files import read_json, sha256, version


def of_sources(paths: list) -> dict:
    """The manifests of the source files, read from beside them where they are; else the checksum alone."""
    result = {}
    for path in sorted(map(Path, paths)):
        manifest = path.with_suffix(".manifest.json")
        entry = read_json(manifest) if manifest.is_file() else {"sha256": {path.name: sha256(path)}}
        result[path.stem] = entry
    return result


def of_splits(domain: str, result, options, sources: list, folder: Path) -> dict:
    """Counts per split and source, licences, groups, what was dropped, checksums, versions. No dates."""
    documents = result.documents
    everything = [record for records in documents.values() for record in records]
    return {
        "domain": domain,
        "options": dataclasses.asdict(options),
        "documents": {name: len(records) for name, records in documents.items()},
        "by_source": {name: _count(records, "source") for name, records in documents.items()},
        "groups": {
            name: len({(record["source"], record["group"]) for record in records})
            for name, records in documents.items()
        },
        "with_choices": {name: sum("choices" in r for r in records) for name, records in documents.items()},
        "licences": _count(everything, "licence"),
        "dropped": dict(sorted(result.dropped.items())),
        "contamination": result.contamination,
        "dropped_by_source": result.by_source,
        "unused": result.unused,
        "sources": of_sources(sources),
        "versions": {
            "datasketch": version("datasketch"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
        "sha256": {f"{name}.jsonl": sha256(folder / f"{name}.jsonl") for name in documents},
    }


def _count(records: list[dict], key: str) -> dict[str, int]:
    values = sorted(record[key] for record in records)
    return {value: values.count(value) for value in dict.fromkeys(values)}
