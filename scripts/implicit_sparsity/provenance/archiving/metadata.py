"""What an archive says of itself in words and numbers of its own."""

import json
from pathlib import Path

from implicit_sparsity.storage.files import read_json

from .layout import FORMAT, LEFT_OUT


def times(files: dict) -> tuple[int, int]:
    """(first start, last end) of the study's jobs in seconds, from Snakemake's notes."""
    notes = [read_json(path) for name, path in files.items() if name.startswith(".snakemake/metadata/")]
    return (
        int(min((note["starttime"] for note in notes if note.get("starttime")), default=0)),
        int(max((note["endtime"] for note in notes if note.get("endtime")), default=0)),
    )


def licences(files: dict) -> dict:
    """domain -> {"sources": {source: {licences, documents, ...}}, "licences": {licence: documents kept}}."""
    result = {}
    for name, path in sorted(files.items()):
        parts = Path(name.removeprefix(f"{LEFT_OUT}/")).parts
        if parts[:2] != ("results", "corpora") or not name.endswith("manifest.json"):
            continue
        manifest = read_json(path)
        domain = result.setdefault(parts[2], {"licences": {}, "sources": {}})
        if parts[3] == "splits":
            domain["licences"] = manifest["licences"]
        else:
            keys = ("licences", "loader", "documents", "versions", "sha256")
            domain["sources"][manifest["source"]] = {key: manifest[key] for key in keys}
    return result


def licences_page(domains: dict) -> str:
    """The same for people. The licence of the code is another: LICENSE."""
    lines = [
        "# Licences of the data",
        "",
        "Of the code: LICENSE. Documents of each domain that the study used:",
        "",
    ]
    lines += ["| domain | source | licence | documents read |", "|---|---|---|---|"]
    for domain, metadata in domains.items():
        for source, facts in metadata["sources"].items():
            lines.append(f"| {domain} | {source} | {', '.join(facts['licences'])} | {facts['documents']} |")
    return "\n".join(lines) + "\n"


def of_archive(contents, options: dict, laid: dict, sizes: dict) -> dict:
    """archive.json. ``sizes``: path -> bytes of everything but it and the manifest."""
    first, last = times(contents.files)
    code = {key: value for key, value in contents.code.items() if key != "patch"}
    return {
        "format": FORMAT,
        "code": code,
        "run": contents.run,
        "laid": laid,
        "options": options,
        "left_out": contents.left_out,
        "started": first,
        "ended": last,
        "licences": {domain: entry["licences"] for domain, entry in licences(contents.files).items()},
        "files": len(sizes),
        "bytes": sum(sizes.values()),
    }


def as_json(value) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
