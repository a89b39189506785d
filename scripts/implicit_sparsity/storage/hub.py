"""A repository of the Hugging Face hub at a pinned commit: its files listed, fetched, resumed and checked.

huggingface_hub lists, authorises, finds and streams. What it leaves open is done here: its own downloads
(2.4) put every file under a name of the process, so that a killed one starts again at byte 0, and compare
sizes only. Here a file grows as ``<name>.partial``, goes on at its last byte (an HTTP Range request, also in
another process), and gets its name once its checksum is the hub's: SHA-256 of an LFS file, the git blob hash
of a small one. That takes plain HTTP: xet cannot go on within a file. Sizes are in bytes. A failure is one
line with repository, commit and key of the config.
"""

import errno
import hashlib
import logging
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError, first_line

from .files import sha256

log = logging.getLogger(__name__)
IDLE_TRIES = 5  # breaks in a row that brought no new byte before the transfer is given up
FULL = (errno.ENOSPC, errno.EDQUOT)


class Unreachable(InputError):
    """No network, or told to stay offline: what is in a cache already may still serve."""


@dataclass(frozen=True)
class Entry:
    """What the hub says of one file; ``sha256`` is None for a small file, which git keeps itself."""

    size: int
    git: str
    sha256: str | None

    @property
    def etag(self) -> str:
        """The name of the file's content in the hub's cache."""
        return self.sha256 or self.git

    def matches(self, path: Path) -> bool:
        if self.sha256:
            return sha256(path) == self.sha256
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.git


@dataclass(frozen=True)
class Repository:
    """``kind``: model or dataset. ``at``: where the config names it, put before ``repo`` and ``revision``."""

    name: str
    revision: str
    kind: str = "model"
    at: str = ""

    def files(self) -> dict[str, Entry]:
        """{path: Entry} of all files of the commit."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        def entry(file) -> Entry:
            return Entry(file.size, file.blob_id, file.lfs.sha256 if file.lfs else None)

        try:
            tree = HfApi().list_repo_tree(
                self.name, recursive=True, revision=self.revision, repo_type=self.kind
            )
            return {file.path: entry(file) for file in tree if isinstance(file, RepoFile)}
        except Exception as error:  # the hub's, httpx's, the system's and ValueError for a malformed name
            raise self._refusal(error) from error

    def fetch(self, entries: dict[str, Entry], folder: Path) -> None:
        """Have these files in ``folder``, whole and checked, going on with what a killed call left there."""
        targets = {name: folder / name for name in entries}
        self._fetch(entries, targets, folder)

    def cached(self, name: str, key: str = "file") -> Path:
        """One file, in the hub's own cache (``HF_HOME``), which needs no network once it is there."""
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(self.name, name, revision=self.revision, repo_type=self.kind)
        if isinstance(path, str):
            return Path(path)
        listed = self.files()
        if name not in listed:
            raise self.refuse(f"has no file {name!r} (it has: {', '.join(sorted(listed)[:9])})", key)
        return self.into_cache({name: listed[name]})[name]

    def into_cache(self, entries: dict[str, Entry]) -> dict[str, Path]:
        """Have these files in the hub's cache, checked before it knows them; {name: path}."""
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.file_download import repo_folder_name

        folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.name, repo_type=self.kind)
        targets = {name: folder / "blobs" / entry.etag for name, entry in entries.items()}
        self._fetch(entries, targets, folder / "blobs")
        try:  # the content is there under its etag, so this only links it into the snapshot
            return {
                name: Path(hf_hub_download(self.name, name, revision=self.revision, repo_type=self.kind))
                for name in entries
            }
        except Exception as error:
            raise self._refusal(error) from error

    def refuse(self, message: str, key: str = "repo", error: type[InputError] = InputError) -> InputError:
        return error(message, f"{self.name}@{self.revision}", key=self.at + key)

    def _fetch(self, entries, targets, folder):
        from huggingface_hub.utils import WeakFileLock

        folder.mkdir(parents=True, exist_ok=True)
        self._need_space(entries, targets, folder)
        for name, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with WeakFileLock(f"{target}.lock"):  # two jobs may want the same file of a data set
                    if not target.exists():
                        self._file(name, entries[name], target)
            except Exception as error:
                raise self._refusal(error, name) from error

    def _need_space(self, entries, targets, folder):
        here = [
            file.stat().st_size
            for target in targets.values()
            for file in (target, _partial(target))
            if file.exists()
        ]
        needed, free = sum(e.size for e in entries.values()) - sum(here), shutil.disk_usage(folder).free
        if needed > free:
            raise self.refuse(f"{_size(needed)} are still to come, {folder} has {_size(free)} of free disk")

    def _file(self, name: str, entry: Entry, target: Path):
        partial = _partial(target)
        if partial.exists() and partial.stat().st_size > entry.size:
            partial.unlink()
        self._stream(name, entry, partial)
        if not entry.matches(partial):
            partial.unlink()  # no byte of it can be trusted
            raise self.refuse(
                f"{name}: what arrived has another checksum than the hub says ({entry.etag[:16]}...); "
                "it was deleted: run again, and where it stays so tell the hub"
            )
        os.replace(partial, target)
        log.info("%s of %s is here and checked", name, self.name)

    def _stream(self, name: str, entry: Entry, partial: Path):
        """Append to ``partial`` what is missing; what the client does not try again is tried again here."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers, disable_progress_bars

        if not sys.stderr.isatty():
            disable_progress_bars()
        url = hf_hub_url(self.name, name, revision=self.revision, repo_type=self.kind)
        headers = build_hf_headers(headers={"Accept-Encoding": "identity"})  # bytes counted are bytes stored
        idle = 0
        while True:
            with partial.open("ab") as file:
                have = file.tell()
                try:
                    http_get(url, file, resume_size=have, headers=headers, expected_size=entry.size)
                    return
                except Exception as error:
                    idle = 0 if file.tell() > have else idle + 1
                    if not _may_pass(error) or idle > IDLE_TRIES:
                        raise
                    log.warning("%s broke off at byte %d: %s", name, file.tell(), error)
            time.sleep(1)

    def _refusal(self, error: Exception, file: str = "") -> InputError:
        """The one line for whatever huggingface_hub, httpx or the system raised while ``file`` came."""
        import httpx2
        from huggingface_hub import errors

        if isinstance(error, InputError):
            return error
        words = first_line(error)
        what = f"{file}: " if file else ""
        broken = isinstance(error, httpx2.TransportError) or _may_pass(error)
        connecting = (httpx2.ConnectError, httpx2.ProxyError, errors.OfflineModeIsEnabled)
        if isinstance(error, errors.GatedRepoError):
            return self.refuse("is gated: accept its licence on the hub, then log in with `hf auth login`")
        if isinstance(error, errors.RevisionNotFoundError):
            return self.refuse("the repository has no such commit", "revision")
        if isinstance(error, errors.RepositoryNotFoundError) or _status(error) in (401, 403):
            kind = "data set" if self.kind == "dataset" else self.kind
            return self.refuse(f"no such {kind} on the hub, or a private one: log in with `hf auth login`")
        if getattr(error, "errno", None) in FULL:
            return self.refuse(f"{what}the disk is full: make room and run again to go on")
        if isinstance(error, connecting) or (broken and not file):
            return self.refuse(f"the hub cannot be reached: {words}", error=Unreachable)
        if broken:
            return self.refuse(f"{what}the transfer broke again and again ({words}): run again to go on")
        return self.refuse(f"{what}{words}")


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _status(error: Exception) -> int:
    """The HTTP status that an error is about, or 0."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def _may_pass(error: Exception) -> bool:
    """A broken connection, a short answer (an OSError without a number), or a fault of the server."""
    import httpx2

    short = type(error) is OSError and error.errno is None
    return short or isinstance(error, httpx2.ReadError) or _status(error) >= 500


def _size(count: int) -> str:
    """Bytes in words: 54.1 GB."""
    unit = next((u for u in ((10**9, "GB"), (10**6, "MB")) if count >= u[0]), (10**3, "kB"))
    return f"{count / unit[0]:.1f} {unit[1]}"
