"""A tar whose bytes depend on its content alone: names in order, one time, no owner, no name for gzip.

``.tar`` is the same everywhere; of ``.tar.gz`` the compressed bytes are the zlib's of the machine.
"""

import gzip
import hashlib
import io
import os
import tarfile
from contextlib import contextmanager
from pathlib import Path

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.files import new_file

from .layout import MANIFEST, METADATA, TOP

ENDINGS = (".tar", ".tar.gz", ".tgz")
BLOCK = 2**20


def size_and_sum(source) -> tuple[int, str]:
    """(bytes, hex SHA-256) of a file's path or of bytes."""
    if isinstance(source, bytes):
        return len(source), hashlib.sha256(source).hexdigest()
    with open(source, "rb") as file:
        total = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), total


def manifest(sums: dict) -> bytes:
    """As sha256sum writes it, by name."""
    for name in sums:
        if not name.isprintable() or "\\" in name:
            raise InputError("a file name that no manifest can hold", path=ascii(name))
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def write(path, members: dict, sums: dict, seconds: int, progress=iter) -> None:
    """``members``: path in the archive -> Path or bytes, with manifest and archive.json; whole or not at all.

    sums: the SHA-256 of each; InputError for a file that is no longer the one it was taken of.
    """
    first = [MANIFEST, METADATA]
    order = first + sorted(name for name in members if name not in first)
    with (
        new_file(path) as partial,
        _stream(partial, str(path)) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in progress(order):
            _add(tar, name, members[name], sums[name], seconds)


def check_ending(path) -> None:
    if not str(path).endswith(ENDINGS):
        raise InputError(f"an archive ends in {', '.join(ENDINGS)}", path=path, key="archive.path")


@contextmanager
def _stream(partial: Path, name: str):
    with open(partial, "wb") as file:
        if name.endswith(".tar"):
            yield file
        else:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as stream:
                yield stream


def _add(tar, name: str, source, expected: str, seconds: int) -> None:
    info = tarfile.TarInfo(TOP + name)
    info.mtime, info.mode = seconds, 0o644
    if isinstance(source, bytes):
        info.size = len(source)
        tar.addfile(info, io.BytesIO(source))
        return
    with open(source, "rb") as file:
        status = os.fstat(file.fileno())
        info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        watched = _Watched(file)
        tar.addfile(info, watched)
    if watched.sum.hexdigest() != expected:
        raise InputError("changed while it was being archived: begin again", path=name)


class _Watched:
    """A file whose bytes are summed as they are read."""

    def __init__(self, file):
        self.file, self.sum = file, hashlib.sha256()

    def read(self, size=-1):
        data = self.file.read(size)
        self.sum.update(data)
        return data
