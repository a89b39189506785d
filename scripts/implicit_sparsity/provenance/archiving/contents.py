"""Which files go into an archive: a mapping from their path in it to where they are now.

Results are the outputs of the study's jobs, nothing else that lies in results/. An artifact is taken whole or
left out whole: Snakemake makes one that is missing again when it is needed, and would take half of one for
all of it.
"""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats, identity, record
from implicit_sparsity.storage.files import read_json, sha256

from . import reading
from .layout import CONFIGS, ENDINGS, LEFT_OUT, MADE_HERE, MANIFEST, METADATA, PATCH

WEIGHTS = ("results/models/", "results/adapters/")
RECORD = 2**20  # a JSON file of something left out is kept up to this size
RETAINED = (".json", ".md", ".csv")
REPORTS = ("results/report.html", "results/report.zip")


@dataclass
class Contents:
    files: dict = field(default_factory=dict)  # path in the archive -> Path of the file
    left_out: list = field(default_factory=list)
    code: dict = field(default_factory=dict)
    run: dict = field(default_factory=dict)  # config files as they lie in the archive, and --config


def gather(root: Path, jobs: list, run: dict, options: dict) -> Contents:
    """``run``: configfiles and config; ``options``: weights and activations, whether to take them."""
    result = Contents(code=code(root))
    listed = result.code.pop("listed")
    result.files |= {name: root / name for name in listed if not _is_earlier_archive(root / name)}
    outputs = sorted({path for job in jobs for path in job.files["output"]})
    given = {path for job in jobs for path in job.files["input"]} - set(outputs)
    for path in sorted(given):
        inside(path)
        result.files |= _whole(root, path)
    for path in outputs:
        taken = options["weights"] or not path.startswith(WEIGHTS)
        if taken and (options["activations"] or not path.endswith(".zarr")):
            result.files |= _whole(root, path)
        else:
            result.left_out.append(path)
            result.files |= {f"{LEFT_OUT}/{name}": file for name, file in _records(root, path).items()}
        note = formats.snakemake_note(path)  # without it a changed config would go unnoticed once restored
        result.files[note] = root / note
    logs = {path for job in jobs for kind in ("log", "benchmark") for path in job.files[kind]}
    result.files |= {path: root / path for path in sorted(logs) if (root / path).is_file()}
    result.files |= {path: root / path for path in REPORTS if (root / path).is_file()}
    result.run = _configs(root, run, result.files)
    missing = sorted(name for name, path in result.files.items() if not path.is_file())
    if missing:
        raise InputError(f"is missing ({len(missing)} files are)", path=missing[0])
    return result


def _is_earlier_archive(path: Path) -> bool:
    """Whether this is an archive that git does not ignore, under whatever name it was made."""
    return path.name.endswith(ENDINGS) and reading.is_archive(path)


def inside(path: str) -> None:
    """InputError for a given file that would not be found again in another folder."""
    if os.path.isabs(path) or ".." in Path(path).parts:
        raise InputError(
            "lies outside the study's folder: put it inside, or it cannot be restored", path=path
        )


def _whole(root: Path, path: str) -> dict:
    """All files of an artifact, and those that lie beside it and belong to it."""
    place = root / path
    files = [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    return {file.relative_to(root).as_posix(): file for file in [*files, *record.sidecars(place)]}


def _records(root: Path, path: str) -> dict:
    """Of something left out, the small files at its top that say what it was."""
    files = sorted((root / path).glob("*")) if (root / path).is_dir() else []
    retained = [file for file in files if file.suffix in RETAINED and file.stat().st_size <= RECORD]
    return {file.relative_to(root).as_posix(): file for file in retained}


def _configs(root: Path, run: dict, files: dict) -> dict:
    """The config files with their paths in the archive; those from elsewhere are copied into configs/."""
    names = []
    for number, given in enumerate(run["configfiles"]):
        path = Path(os.path.relpath((root / given).resolve(), root.resolve()))
        outside = ".." in path.parts
        name = f"{CONFIGS}/{number}_{path.name}" if outside else path.as_posix()
        files[name] = root / given
        names.append(name)
    return {"configfiles": names, "config": run["config"]}


def code(root: Path) -> dict:
    """The code as it is: {commit, dirty, changed, untracked, patch, listed (all files)}."""
    if not (root / ".git").exists():
        return _restored_code(root)
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    listed = sorted({name for name in listed if name and (root / name).is_file() and name not in MADE_HERE})
    changed = _git(root, "diff", "--name-only", "-z", "HEAD").split("\0")
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    state = {
        "commit": (identity.commit(root) or "").removesuffix("-dirty"),
        "changed": sorted(filter(None, changed)),
        "untracked": sorted(filter(None, untracked)),
    }
    state["dirty"] = bool(state["changed"] or state["untracked"])
    patch = _git(root, "diff", "--binary", "HEAD") if state["changed"] else None
    return state | {"files": listed, "listed": listed, "patch": patch}


def _restored_code(root: Path) -> dict:
    """The same for a folder that came out of an archive: what that said, and what was changed since."""
    if not (root / METADATA).is_file() or not (root / MANIFEST).is_file():
        raise InputError("is neither a git checkout nor a restored archive: its code has no name", path=root)
    archived = read_json(root / METADATA)["code"]
    sums = dict(reversed(line.split("  ", 1)) for line in (root / MANIFEST).read_text("utf-8").splitlines())
    now = {name: sha256(root / name) for name in archived["files"] if (root / name).is_file()}
    changed = sorted(
        {*archived["changed"], *(name for name in archived["files"] if now.get(name) != sums[name])}
    )
    patch = (root / PATCH).read_bytes().decode(errors="surrogateescape") if (root / PATCH).is_file() else None
    state = archived | {
        "changed": changed,
        "dirty": bool(changed or archived["untracked"]),
        "files": sorted(now),
    }
    return state | {"listed": sorted(now), "patch": patch}


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="surrogateescape")
    if done.returncode:
        raise InputError(f"git {words[0]}: {done.stderr.strip() or 'failed'}", path=root)
    return done.stdout
