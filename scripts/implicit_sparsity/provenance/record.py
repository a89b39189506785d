"""What an artifact says about how it was made, written into it by the job that made it.

    rule, command     what to run for it            options, wildcards    values that the job was given
    code              fingerprint of its code       inputs                {path: id of what was read there}
    models            {name: revision}              data                  {domain/source: sha256}
    versions          of the packages               made                  commit and device
    id                sha256 of all of these but `made`

Equal ids: the same code, options, versions and inputs, back to the corpus. Only ``made`` may differ between
artifacts of one id; nothing that decides about a rerun reads it. Where the record lies: in the attributes of
a Zarr store, under ``provenance`` in JSON, as ``provenance.json`` in any other folder, in the metadata of PDF
(Keywords) and PNG (Comment), as a last comment in TeX, Markdown and HTML, and for CSV, which has no
room for it, in the sidecar that CSV on the Web names (``<file>.csv-metadata.json``, under ``notes``).
"""

import csv
import inspect
import json
import sys
from pathlib import Path

from implicit_sparsity.storage.files import read_json, sha256, write_json, write_text

from . import formats, identity

PACKAGES = (*identity.PACKAGES, "pandas", "scipy", "matplotlib")
KEY = "provenance"
FOLDER = f"{KEY}.json"
CSVW = ".csv-metadata.json"
COMMENTS = {".tex": ("% ", ""), ".md": ("<!-- ", " -->"), ".html": ("<!-- ", " -->")}
_current = {}  # the record of the job that this process runs, if it runs one


def begin(function, snakemake) -> dict:
    """The record of a job, before it runs: figures write it into their files themselves."""
    known = inspect.signature(function).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in known.values())
    code = dict(snakemake.params.items()).get("code", "")
    options = {key: value for key, value in snakemake.params.items() if key in known and key != "code"}
    named = [paths for name, paths in snakemake.input.items() if takes_all or name in known]
    paths = [str(path) for given in named for path in ([given] if isinstance(given, str) else given)]
    paths = [path for path in paths if not path.startswith(formats.GATES)]
    first = next(iter(flat(snakemake.output)), "")
    _current.clear()
    _current.update(record(snakemake.rule, first, dict(snakemake.wildcards.items()), options, code, paths))
    return _current


def record(rule, target, wildcards: dict, options: dict, code: str, paths: list) -> dict:
    """A whole record; ``paths``: what the job reads, each with its own record or else a checksum."""
    before = {path: read(path) for path in dict.fromkeys(paths)}
    entry = {
        "rule": rule,
        "command": f"snakemake {target}".strip(),
        "wildcards": wildcards,
        "options": options,
        "code": code,
        "inputs": {path: known["id"] if known else checksum(path) for path, known in before.items()},
        "models": _union(before.values(), "models"),
        "data": _union(before.values(), "data"),
        "versions": identity.versions(PACKAGES),
    }
    entry = json.loads(json.dumps(entry, sort_keys=True, default=str))
    return entry | {"id": identity.digest(entry), "made": made()}


def made() -> dict:
    """What may differ between equal artifacts: the commit of the checkout, and the device."""
    return {"commit": identity.commit(), "device": device()}


def device() -> str:
    """The name of the GPU, where there is one and the job uses torch."""
    torch = sys.modules.get("torch")  # not imported for this
    gpu = torch is not None and torch.cuda.is_available()
    return torch.cuda.get_device_name(0) if gpu else "cpu"


def checksum(path) -> str | None:
    """Of a file that no job made."""
    return sha256(path) if Path(path).is_file() else None


def _union(records, key: str) -> dict:
    """Of all records together; of two revisions of one model the longer, that after its format warm-up."""
    return dict(sorted((k, v) for entry in records if entry for k, v in entry.get(key, {}).items()))


def text() -> str | None:
    """The current record on one line of ASCII, for metadata of figures; None outside a job."""
    return json.dumps(_current, sort_keys=True) if _current else None


def flat(outputs) -> list[str]:
    """Paths of a rule's outputs, a list of files taken apart."""
    values = [value for _, value in outputs.items()]
    return [str(path) for value in values for path in ([value] if isinstance(value, str) else value)]


def finish(outputs: list) -> None:
    """Write the current job's record into everything it made."""
    if not _current:
        return
    entry = {**_current, "made": _current["made"] | {"device": device()}}  # torch may have come since
    for path in outputs:
        if leaves := _leaves(Path(path)):
            entry |= leaves
            entry["id"] = identity.digest({key: entry[key] for key in entry if key not in ("id", "made")})
    for path in outputs:
        write(path, {key: entry[key] for key in sorted(entry)})
    _current.clear()


def _leaves(path: Path) -> dict:
    """What begins here: a model says its revision, a source its checksum."""
    manifest = path / "manifest.json" if path.is_dir() else path
    if manifest.name.endswith("manifest.json") and manifest.is_file():
        metadata = read_json(manifest)
        if "revision" in metadata and "files" in metadata:
            revision = metadata["revision"]
            repository = metadata.get("repository")
            return {"models": {metadata["name"]: f"{repository}@{revision}" if repository else revision}}
        if "loader" in metadata:
            return {
                "data": {
                    f"{metadata['domain']}/{metadata['source']}": next(iter(metadata["sha256"].values()))
                }
            }
    return {}


def write(path, entry: dict) -> None:
    """Put a record into the artifact at ``path``, or beside it where the format has no room."""
    path = Path(path)
    if (path / "zarr.json").is_file():
        metadata = read_json(path / "zarr.json")
        metadata["attributes"] = dict(sorted((metadata.get("attributes", {}) | {KEY: entry}).items()))
        write_text(path / "zarr.json", json.dumps(metadata, indent=2, sort_keys=True) + "\n")
    elif path.is_dir():
        write_json(path / FOLDER, entry)
    elif path.suffix == ".json" and isinstance(content := read_json(path), dict):
        write_json(path, content | {KEY: entry})
    elif path.suffix == ".csv":
        write_json(_beside(path), table_metadata(path, entry))
    elif path.suffix in COMMENTS:
        before, after = COMMENTS[path.suffix]
        line = json.dumps({KEY: entry}, sort_keys=True).replace("--", "-\\u002d")
        write_text(path, path.read_text("utf-8").rstrip("\n") + f"\n{before}{line}{after}\n")
    elif path.suffix not in (".pdf", ".png", ".jsonl"):
        write_json(_beside(path), entry)


def _beside(path: Path) -> Path:
    return (
        path.with_name(path.stem + CSVW) if path.suffix == ".csv" else path.with_name(f"{path.name}.{FOLDER}")
    )


def sidecars(path) -> list[Path]:
    """Files that lie beside an artifact and belong to it."""
    beside = _beside(Path(path))
    return [beside] if beside.is_file() else []


def table_metadata(path: Path, entry: dict) -> dict:
    """A table's sidecar in the form of CSV on the Web: its columns, and the record as a note."""
    with open(path, encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file), [])
    return {
        "@context": "http://www.w3.org/ns/csvw",
        "url": path.name,
        "tableSchema": {"columns": [{"titles": name} for name in columns]},
        "notes": [{KEY: entry}],
    }


def read(path) -> dict | None:
    """The record of the artifact at ``path``; None where it has none or is not there."""
    result = formats.read(Path(path))
    return result if isinstance(result, dict) and "id" in result and "rule" in result else None
