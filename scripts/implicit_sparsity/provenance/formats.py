"""Reading the record of ``record.py`` back out of every form of artifact, with the standard library alone."""

import json
import re
import struct
from base64 import urlsafe_b64encode
from pathlib import Path

KEY = "provenance"
GATES = ("results/plan/",)  # an input that has to be there, and is not read


def read(path: Path):
    """What stands under the key, or None; a damaged file is one without a record."""
    try:
        if path.is_dir():
            return _folder(path)
        readers = {".json": _json, ".csv": _csv, ".png": _png, ".pdf": _pdf, ".jsonl": _manifest}
        readers |= dict.fromkeys((".tex", ".md", ".html"), _comment)
        return readers.get(path.suffix, _beside)(path)
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error):
        return None


def snakemake_note(path: str) -> str:
    """Where in a study's folder Snakemake keeps its note of an output: base64 of its path, in parts."""
    name = urlsafe_b64encode(path.encode()).decode()
    *before, last = [name[i : i + 254] for i in range(0, len(name), 254)]
    return "/".join([".snakemake", "metadata", *(f"@{part}" for part in before), last])


def _load(path: Path):
    return json.loads(path.read_text("utf-8"))


def _folder(path: Path):
    if (path / "zarr.json").is_file():
        return _load(path / "zarr.json")["attributes"].get(KEY)
    return _load(path / f"{KEY}.json")


def _json(path: Path):
    content = _load(path)
    return content.get(KEY) if isinstance(content, dict) else _beside(path)


def _csv(path: Path):
    return _load(path.with_name(f"{path.stem}.csv-metadata.json"))["notes"][0][KEY]


def _manifest(path: Path):
    """Documents of a source have their manifest beside them."""
    return _load(path.with_name(f"{path.stem}.manifest.json")).get(KEY)


def _beside(path: Path):
    return _load(path.with_name(f"{path.name}.{KEY}.json"))


def _comment(path: Path):
    last = path.read_text("utf-8").rstrip("\n").rsplit("\n", 1)[-1]
    result = re.fullmatch(r"(?:% |<!-- )(\{.*\})(?: -->)?", last)
    return json.loads(result[1])[KEY] if result else None


def _png(path: Path):
    """The text chunk Comment."""
    data, at = path.read_bytes(), 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"tEXt" and body.startswith(b"Comment\0"):
            return json.loads(body.split(b"\0", 1)[1])
        at += 12 + size
    return None


def _pdf(path: Path):
    """Keywords of the information dictionary, which matplotlib writes uncompressed, in ASCII."""
    result = re.search(rb"/Keywords \(((?:\\.|[^\\()]|\((?:\\.|[^\\()])*\))*)\)", path.read_bytes(), re.S)
    return json.loads(re.sub(rb"\\(.)", rb"\1", result[1])) if result else None
