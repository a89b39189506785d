"""An archive by anybody: every byte of it is read and checked, and nothing is written.

Refused, with one line: names that lead elsewhere, anything but plain files, a name twice, a file under a
file, a file that the manifest does not name or names otherwise, one that is missing, more bytes than the
archive says it holds, more than its own size lets one believe, headers as large as files, a stream that ends
early or goes on.
"""

import gzip
import hashlib
import json
import re
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from implicit_sparsity.errors import InputError

from . import validating
from .layout import MANIFEST, METADATA, TOP

HEAD = 64 * 2**20  # of the manifest, and of archive.json
EXTENDED = 64 * 2**10  # of the header of a long name
DIGEST = re.compile(r"[0-9a-f]{64}")
LETTERS, PART, DEPTH = 1024, 255, 64  # bytes of a name and of a part of it, and its parts
# folders whose files are run, as .git/config by git, by who has only looked at what was restored
RUN = {".git", ".hg", ".svn", ".venv"}
RATIO, SPARE = 200, 16 * 2**20  # what a size is believed to unpack to
BLOCK = 2**20
BROKEN = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, OverflowError, RecursionError)


@dataclass
class Survey:
    metadata: dict  # archive.json
    sums: dict  # path -> SHA-256
    bytes: int


def survey(archive) -> Survey:
    """Read all of it; InputError at the first thing that is wrong."""
    for _ in (walk := Walk(archive)):
        for _ in walk.content():
            pass
    return Survey(walk.metadata, walk.sums, walk.seen)


def is_archive(path) -> bool:
    """Whether a file is an archive of a study, by its beginning."""
    try:
        with tarfile.open(path) as tar:
            first = tar.next()
    except BROKEN:
        return False
    return first is not None and first.name == TOP + MANIFEST


class Walk:
    """The members of an archive one by one; names are checked before they are given."""

    def __init__(self, archive):
        self.archive = archive
        self.sums, self.metadata, self.seen, self.names = None, {}, 0, {}
        self.limit = 0

    def __iter__(self):
        """(path, executable, seconds) of each member; read ``content()`` of it before the next."""
        with _reported(self.archive), _stream(self.archive) as (stream, self.limit):
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header, errorlevel=2) as tar:
                for member in tar:
                    self.name, self.member, self.file = self._name(member), member, tar.extractfile(member)
                    yield self.name, bool(member.mode & 0o100), int(member.mtime)
                    self._head()
            stream.drain()
        files = {name for name, is_folder in self.names.items() if not is_folder}
        if missing := sorted(set(self.sums or ()) - files):
            shown = ascii(missing[0])[:120]
            raise self.refuse(f"lacks {len(missing)} files that its manifest names, {shown} among them")
        if self.sums is None or not self.metadata:
            raise self.refuse("is no archive of a study: it has no manifest or no archive.json")

    def content(self):
        """The bytes of the present member in blocks; InputError after the last if their sum is another."""
        total, retained, head = hashlib.sha256(), [], self.name in (MANIFEST, METADATA)
        left = self.member.size
        while block := self._read(min(BLOCK, left)):
            left -= len(block)
            total.update(block)
            retained += [block] if head else []
            yield block
        if left:
            raise self.refuse(f"ends in the middle of {self.name}")
        if self.name != MANIFEST and total.hexdigest() != self.sums[self.name]:
            raise self.refuse(f"holds another {self.name} than its manifest says")
        self.retained = b"".join(retained)

    def _read(self, size: int) -> bytes:
        with _reported(self.archive):
            return self.file.read(size)

    def refuse(self, why: str) -> InputError:
        return InputError(f"{why}; nothing was restored", path=self.archive)

    def _name(self, member) -> str:
        """The member's path in the study, or a refusal."""
        name, shown = member.name, ascii(member.name)[:120]
        parts = name.split("/")
        if (
            not name.startswith(TOP)
            or not name.isprintable()
            or "\\" in name
            or not {"", ".", ".."}.isdisjoint(parts)
            or not RUN.isdisjoint(map(str.lower, parts))
        ):
            raise self.refuse(f"has a file with a name that is not allowed ({shown})")
        sizes = [len(part.encode()) for part in parts]
        if max(sizes) > PART or sum(sizes) + len(sizes) > LETTERS or len(parts) > DEPTH:
            raise self.refuse(f"has a file with a name that is too long ({shown})")
        if not member.isreg() or member.issparse():
            raise self.refuse(f"has something that is no plain file ({shown})")
        path = name.removeprefix(TOP)
        if self.names.get(path) is False:
            raise self.refuse(f"has {shown} twice")
        above = ["/".join(parts[1:i]) for i in range(2, len(parts))]
        if self.names.get(path) or any(self.names.get(folder) is False for folder in above):
            raise self.refuse(f"has {shown} as a file and as a folder")
        self._expected(path, member.size)
        self.names |= dict.fromkeys(above, True)
        self.names[path] = False
        return path

    def _expected(self, path: str, size: int) -> None:
        if self.sums is None:
            if path != MANIFEST or size > HEAD:
                raise self.refuse("does not begin with a manifest")
        elif path not in self.sums:
            raise self.refuse(f"has {ascii(path)[:120]}, which its manifest does not name")
        elif not self.metadata:
            if path != METADATA or size > HEAD:
                raise self.refuse("says nothing of itself (archive.json should be second)")
        else:
            self.seen += size
            if self.seen > self.metadata["bytes"]:
                raise self.refuse(f"holds more than the {self.metadata['bytes']} bytes that it says it holds")

    def _head(self) -> None:
        """Take in what the first two members say."""
        if self.name == MANIFEST:
            lines = [line.split("  ", 1) for line in self.retained.decode().splitlines()]
            if not all(len(line) == 2 and DIGEST.fullmatch(line[0]) for line in lines):
                raise self.refuse("has a manifest that is none")
            self.sums = {name: total for total, name in lines}
            if METADATA not in self.sums or len(self.sums) != len(lines):
                raise self.refuse("has a manifest that is none")
        elif self.name == METADATA:
            self.metadata = self._metadata(json.loads(self.retained))

    def _metadata(self, content) -> dict:
        if reason := validating.wrong(content, self.sums):
            raise self.refuse(f"has an archive.json that {reason}")
        if content["bytes"] > self.limit:
            raise self.refuse(
                f"would unpack to {content['bytes']} bytes, more than a file of its size can be trusted with"
            )
        return content


class Header(tarfile.TarInfo):
    """A header whose extensions (long names) are short: tarfile reads them into memory."""

    def _proc_member(self, tarfile_):
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if (
            self.type in (*extended, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
            and self.size > EXTENDED
        ):
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tarfile_)


class _Limited:
    """A stream that gives at most ``limit`` bytes."""

    def __init__(self, file, limit: int):
        self.file, self.left = file, limit

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError("more than its size can be trusted with")
        return data

    def drain(self) -> None:
        """Nothing but zeros may follow, and the sum at the end of a gzip stream has to be right."""
        while block := self.read(BLOCK):
            if block.strip(b"\0"):
                raise tarfile.ReadError("something behind its end")


@contextmanager
def _stream(archive):
    """(the tar's bytes, how many may come)."""
    path = Path(archive)
    if not path.is_file():
        raise InputError("no such archive", path=archive)
    limit = RATIO * path.stat().st_size + SPARE
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with gzip.GzipFile(fileobj=file, mode="rb") if packed else file as plain:
            yield _Limited(plain, limit + SPARE), limit


@contextmanager
def _reported(archive):
    """Every way in which an archive can be broken ends in one line."""
    try:
        yield
    except InputError:  # also a ValueError
        raise
    except BROKEN as error:
        raise InputError(f"is damaged or no archive ({error}); nothing was restored", path=archive) from error
