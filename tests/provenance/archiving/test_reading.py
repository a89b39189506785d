"""Whatever is wrong with an archive: refused in one line, and nothing is written."""

import gzip
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from planted_archive import FILES, forged, member, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import reading, restoring
from implicit_sparsity.provenance.archiving.layout import METADATA, TOP

SCRIPTS = Path(reading.__file__).parents[3]
EVIL = b"evil"


def refused(archive, tmp_path, match):
    """Restoring ends in one line that names the archive, and leaves the folder as it was."""
    place = tmp_path / "place"
    place.mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match=match) as caught:
        restoring.restore(archive, place / "into")
    assert "\n" not in str(caught.value) and str(archive) in str(caught.value)
    assert list(place.iterdir()) == [] and sorted(p.name for p in tmp_path.iterdir()) == before


OTHER = f"{TOP}results/other.csv"
HOSTILE = {
    "climbing": (member(f"{TOP}../../evil", EVIL), "not allowed"),
    "climbing within": (member(f"{TOP}results/../../evil", EVIL), "not allowed"),
    "absolute": (member("/tmp/evil", EVIL), "not allowed"),
    "outside the top": (member("evil", EVIL), "not allowed"),
    "top itself": (member("study", EVIL), "not allowed"),
    "double slash": (member(f"{TOP}results//evil", EVIL), "not allowed"),
    "dot": (member(f"{TOP}./evil", EVIL), "not allowed"),
    "backslash": (member(f"{TOP}..\\evil", EVIL), "not allowed"),
    "git's own": (member(f"{TOP}.git/config", EVIL), "not allowed"),
    "git's own in a folder": (member(f"{TOP}results/.GIT/config", EVIL), "not allowed"),
    "a link to git's own": (member(f"{TOP}.git", EVIL), "not allowed"),
    "mercurial's own": (member(f"{TOP}.hg/hgrc", EVIL), "not allowed"),
    "programs": (member(f"{TOP}.venv/bin/python", EVIL), "not allowed"),
    "long name": (member(f"{TOP}{'a' * 300}", EVIL), "too long"),
    "name of many bytes": (member(f"{TOP}{'ä' * 128}", EVIL), "too long"),
    "many folders": (member(f"{TOP}{'d/' * 3000}x", EVIL), "too long"),
    "a folder too many": (member(f"{TOP}{'d/' * 63}x", EVIL), "too long"),
    "long path": (member(f"{TOP}{('d' * 200 + '/') * 6}x", EVIL), "too long"),
    "newline": (member(f"{TOP}evil\n", EVIL), "not allowed"),
    "symlink": (member(OTHER, kind=tarfile.SYMTYPE, link="/etc/passwd"), "no plain file"),
    "symlink inside": (member(OTHER, kind=tarfile.SYMTYPE, link="scores.csv"), "no plain file"),
    "hard link": (member(OTHER, kind=tarfile.LNKTYPE, link=f"{TOP}Snakefile"), "no plain file"),
    "character device": (member(OTHER, kind=tarfile.CHRTYPE, devmajor=1, devminor=3), "no plain file"),
    "block device": (member(OTHER, kind=tarfile.BLKTYPE, devmajor=8), "no plain file"),
    "fifo": (member(OTHER, kind=tarfile.FIFOTYPE), "no plain file"),
    "sparse file": (member(OTHER, kind=tarfile.GNUTYPE_SPARSE), "no plain file"),
    "folder": (member(OTHER, kind=tarfile.DIRTYPE), "no plain file"),
    "twice": (member(f"{TOP}Snakefile", FILES["Snakefile"]), "twice"),
    "under a file": (member(f"{TOP}Snakefile/evil", EVIL), "as a file and as a folder"),
    "over a folder": (member(f"{TOP}results", EVIL), "as a file and as a folder"),
    "not in the manifest": (member(OTHER, EVIL), "does not name"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_member(tmp_path, case):
    extra, match = HOSTILE[case]
    refused(forged(tmp_path / "study.tar.gz", extra), tmp_path, match)


@pytest.mark.parametrize("case", ["climbing", "absolute", "symlink", "under a file"])
def test_hostile_member_that_the_manifest_names(tmp_path, case):
    extra, match = HOSTILE[case]
    path = extra[0].name.removeprefix(TOP)
    refused(forged(tmp_path / "study.tar.gz", extra, named=[(path, extra[1])]), tmp_path, match)


def test_file_with_another_content_than_the_manifest_says(tmp_path):
    extra = member(OTHER, b"b")
    refused(
        forged(tmp_path / "a.tar.gz", extra, named=[("results/other.csv", b"a")]), tmp_path, "holds another"
    )


def test_file_that_is_missing(tmp_path):
    refused(forged(tmp_path / "a.tar.gz", named=[("results/other.csv", b"a")]), tmp_path, "lacks 1 files")


def test_manifest_comes_first_and_archive_json_second(tmp_path):
    swapped = forged(tmp_path / "a.tar.gz", order=lambda members: members[::-1])
    refused(swapped, tmp_path, "does not begin with a manifest")
    (tmp_path / "place").rmdir()
    late = forged(tmp_path / "b.tar.gz", order=lambda members: [members[0], *members[2:], members[1]])
    refused(late, tmp_path, "says nothing of itself")


@pytest.mark.parametrize(
    "changed, match",
    [
        ({"bytes": 10}, "holds more than"),
        ({"bytes": 10**12}, "would unpack to"),
        ({"bytes": "many"}, "no bytes that is a count"),
        ({"files": 3_000}, "counts other files"),
        ({"format": 2}, "of format 2"),
    ],
)
def test_what_an_archive_says_of_itself_is_checked(tmp_path, changed, match):
    refused(forged(tmp_path / "a.tar.gz", **changed), tmp_path, match)


def test_bomb(tmp_path):
    """A gigabyte of zeros in a megabyte, under a name that the manifest has."""
    path = tmp_path / "a.tar.gz"
    size = 2**29
    honest = forged(tmp_path / "honest.tar.gz", named=[("results/other.csv", EVIL)], bytes=2**27)
    head = gzip.decompress(honest.read_bytes()).rstrip(b"\0")
    head += b"\0" * (-len(head) % 512)
    info, _ = member(OTHER)
    info.size = size
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(head + info.tobuf(tarfile.PAX_FORMAT))
        for _ in range(size // 2**22):
            stream.write(bytes(2**22))
    refused(path, tmp_path, "would unpack to|holds more than")


def test_header_as_large_as_a_file(tmp_path):
    """tarfile would read all of it into memory before it knows the name."""
    info, content = member(OTHER, EVIL)
    info.pax_headers = {"comment": "x" * 10**6}
    refused(forged(tmp_path / "a.tar.gz", (info, content)), tmp_path, "header of")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_truncated_anywhere(tmp_path, ending):
    content = whole(tmp_path / f"study{ending}").read_bytes()
    used = len(content.rstrip(b"\0"))
    for place, length in enumerate([0, 1, 300, 513, used // 2, used - 20]):
        path = tmp_path / f"cut{place}{ending}"
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=path.name):
            restoring.restore(path, tmp_path / "into")
        assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_flipped_bit_anywhere(tmp_path, ending):
    content = bytearray(whole(tmp_path / f"study{ending}").read_bytes())
    used = len(bytes(content).rstrip(b"\0"))
    path = tmp_path / f"flipped{ending}"
    # of a plain tar, fields of a header that decide nothing (owner, time) may differ
    places = range(0, used, 97) if ending == ".tar.gz" else [600, used - 100, content.index(b"nano,1.5")]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        try:
            restoring.restore(path, tmp_path / "into")
        except InputError:
            assert not (tmp_path / "into").exists(), place
        else:
            assert ending == ".tar.gz" and place < 10, f"byte {place} was not checked"  # gzip's own header
            for name, expected in FILES.items():
                assert (tmp_path / "into" / name).read_bytes() == expected
            subprocess.run(["rm", "-r", tmp_path / "into"], check=True)


def test_not_an_archive(tmp_path):
    for name, content in (
        ("a.tar.gz", b"not a tar"),
        ("b.tar", b"x" * 2000),
        ("c.tar.gz", gzip.compress(b"")),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            restoring.restore(tmp_path / name, tmp_path / "into")
    with pytest.raises(InputError, match="no such archive"):
        restoring.restore(tmp_path / "nowhere.tar", tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_garbage_behind_the_end(tmp_path):
    archive = whole(tmp_path / "study.tar.gz")
    with open(archive, "ab") as file:
        file.write(gzip.compress(os.urandom(50_000)))
    refused(archive, tmp_path, "behind its end")


def test_archive_that_changes_between_the_two_readings(tmp_path, monkeypatch):
    archive = whole(tmp_path / "study.tar")
    survey = reading.survey

    def then_change(path):
        result = survey(path)
        path.write_bytes(path.read_bytes().replace(b"nano,1.5", b"nano,9.5"))
        return result

    monkeypatch.setattr(reading, "survey", then_change)
    refused(archive, tmp_path, "holds another")


def test_disk_that_is_too_small(tmp_path, monkeypatch):
    monkeypatch.setattr(restoring.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    refused(whole(tmp_path / "study.tar"), tmp_path, "needs")


def test_reading_needs_the_standard_library_alone():
    code = "import sys; from implicit_sparsity.provenance.archiving import restoring; "
    code += "print(set(sys.modules) & {'yaml', 'rocrate'})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True
    )
    assert done.stdout.decode().strip() == "set()", done.stderr


def test_forgeries_are_otherwise_right(tmp_path):
    """Without its one fault a forged archive is accepted: the refusals above are for the fault."""
    extra = member(OTHER, EVIL)
    longest = "d/" * 62 + "ä" * 127
    archive = forged(
        tmp_path / "a.tar.gz",
        extra,
        member(TOP + longest, EVIL),
        named=[("results/other.csv", EVIL), (longest, EVIL)],
    )
    assert reading.survey(archive).sums.keys() == {*FILES, METADATA, "results/other.csv", longest}


def test_an_archive_says_what_it_holds(tmp_path):
    assert reading.survey(whole(tmp_path / "a.tar")).bytes == sum(map(len, FILES.values()))
