"""Equal content, equal bytes; headers that say nothing of who packed it; names that no manifest holds."""

import tarfile

import pytest
from planted_archive import FILES, whole

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import packing
from implicit_sparsity.provenance.archiving.layout import MANIFEST


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_equal_content_gives_equal_bytes(tmp_path, ending):
    first = whole(tmp_path / f"a{ending}")
    second = whole(tmp_path / f"b{ending}", dict(reversed(FILES.items())))
    assert first.read_bytes() == second.read_bytes()
    assert whole(tmp_path / f"c{ending}", FILES | {"a": b""}).read_bytes() != first.read_bytes()


def test_headers_say_nothing_of_who_packed_it(tmp_path):
    with tarfile.open(whole(tmp_path / "a.tar.gz")) as tar:
        for info in tar:
            assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 1_700_000_000)


def test_a_file_stays_executable(tmp_path):
    script = tmp_path / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    archive = whole(tmp_path / "a.tar", FILES)
    members, sums = {"run": script}, {"run": packing.size_and_sum(script)[1]}
    members |= dict.fromkeys(("archive.json", MANIFEST), b"x")
    sums |= {name: packing.size_and_sum(b"x")[1] for name in ("archive.json", MANIFEST)}
    packing.write(archive, members, sums, 0)
    with tarfile.open(archive) as tar:
        assert tar.getmember("study/run").mode == 0o755


def test_a_file_that_changes_meanwhile_is_refused(tmp_path):
    changing = tmp_path / "scores.csv"
    changing.write_text("new")
    members = {"scores.csv": changing, "archive.json": b"", MANIFEST: b""}
    sums = {name: packing.size_and_sum(b"")[1] for name in members}
    with pytest.raises(InputError, match="changed while it was being archived"):
        packing.write(tmp_path / "a.tar", members, sums, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scores.csv"]


def test_names_that_no_manifest_can_hold():
    with pytest.raises(InputError, match="no manifest"):
        packing.manifest({"a\nb": "0" * 64})
