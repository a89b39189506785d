"""An artifact and what it was made of.

What an artifact says inside itself comes first; where it says nothing (it was made before artifacts did, or
is not there), what Snakemake noted when it was made; for what an archive left out, the records that it kept
under ``left_out/``.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats

LEFT_OUT = "left_out"


@dataclass
class Artifact:
    """``path``: relative to the study; ``place``: the file or folder that is read for it, if there is one."""

    path: str
    place: Path | None
    record: dict = field(default_factory=dict)
    noted: bool = False  # the record is Snakemake's, not the artifact's own

    @property
    def inputs(self) -> dict:
        """path -> id at the time it was read (None where nobody noted it)."""
        return self.record.get("inputs", {})


def study_of(file) -> tuple[Path, str]:
    """(the study's folder, the path within it) of a file below ``results``; InputError where it is none."""
    path = Path(file).absolute()
    if not path.exists():
        raise InputError("no such file or folder", path=file)
    names = [place for place in path.parents if place.name == "results"]
    if not names:
        raise InputError("is not in a folder results/ of a study", path=file)
    root = names[-1].parent
    return root, path.relative_to(root).as_posix()


def find(root: Path, path: str) -> Artifact | None:
    """The artifact that ``path`` is, or lies in; None where nothing is known of it."""
    for name in [path, *(parent.as_posix() for parent in Path(path).parents)]:
        if name in (".", "results"):
            return None
        result = load(root, name)
        if result.record:
            return result
    return None


def load(root: Path, path: str) -> Artifact:
    """What is known of the artifact at exactly this path."""
    for place in (root / path, root / LEFT_OUT / path):
        if place.exists():
            record = formats.read(place)
            if isinstance(record, dict) and "rule" in record:
                return Artifact(path, place, record)
    place = root / path if (root / path).exists() else None
    record = noted(root, path)
    return Artifact(path, place, record or {}, noted=record is not None)


def noted(root: Path, path: str) -> dict | None:
    """Snakemake's note of an output in the form of a record; None where there is none."""
    try:
        metadata = json.loads((root / formats.snakemake_note(path)).read_text("utf-8"))
        inputs = [name for name in metadata.get("input") or () if not name.startswith(formats.GATES)]
        return {"rule": metadata["rule"], "inputs": dict.fromkeys(inputs)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
