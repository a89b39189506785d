"""A right archive is restored, into a folder that nothing else has."""

import subprocess
from pathlib import Path

import pytest
from planted_archive import FILES, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import restoring


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_round_trip(tmp_path, ending):
    archive = whole(tmp_path / f"study{ending}")
    folder, metadata = restoring.restore(archive, tmp_path / "into" / "here")
    result = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert {name: result[name] for name in FILES} == FILES
    assert set(result) == {*FILES, "archive.json", "manifest-sha256.txt"} and metadata["files"] == len(FILES)
    assert {int(p.stat().st_mtime) for p in folder.rglob("*") if p.is_file()} == {1_700_000_000}
    subprocess.run(["sha256sum", "-c", "--quiet", "manifest-sha256.txt"], cwd=folder, check=True)


def test_a_long_name_survives(tmp_path):
    name = ".snakemake/metadata/@" + "a" * 200 + "/" + "b" * 200
    archive = whole(tmp_path / "study.tar.gz", FILES | {name: b"{}"})
    folder, _ = restoring.restore(archive, tmp_path / "into")
    assert (folder / name).read_bytes() == b"{}"


def test_the_folder_is_named_after_the_archive_and_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = whole(tmp_path / "study.tar.gz")
    (tmp_path / "study").mkdir()  # empty: may be used
    assert restoring.restore(archive)[0] == Path("study")
    with pytest.raises(InputError, match="is there already"):
        restoring.restore(archive)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is there already"):
        restoring.restore(archive, tmp_path / "file")


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    """Beneath a folder whose own path is long, a name that is allowed is none."""
    archive = whole(tmp_path / "study.tar", FILES | {"/".join(["d" * 200] * 4): b"x"})
    place = tmp_path
    while len(str(place)) < 3400:
        place /= "p" * 200
    place.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be written: File name too long; nothing was restored"):
        restoring.restore(archive, place / "into")
    assert list(place.iterdir()) == []
