"""Finished outputs are put back as they were, for the same key alone, and never once they were altered."""

import shutil

from implicit_sparsity.workflow.output_cache import OutputCache


def finished(tmp_path, depends=1):
    source, folder, file = tmp_path / "in", tmp_path / "out", tmp_path / "table.csv"
    source.write_text("x") if not source.exists() else None
    return OutputCache(tmp_path / "kept", depends, [source], [folder, file]), folder, file


def make(folder, file):
    folder.mkdir()
    (folder / "weights").write_text("w")
    file.write_text("a\n1\n")


def lose(folder, file):
    shutil.rmtree(folder, ignore_errors=True)
    file.unlink(missing_ok=True)


def test_outputs_that_were_lost_are_put_back(tmp_path):
    cached, folder, file = finished(tmp_path)
    make(folder, file)
    cached.keep()
    lose(folder, file)
    assert finished(tmp_path)[0].restore()
    assert (folder / "weights").read_text() == "w" and file.read_text() == "a\n1\n"


def test_another_key_and_altered_bytes_are_no_hit(tmp_path):
    cached, folder, file = finished(tmp_path)
    make(folder, file)
    cached.keep()
    lose(folder, file)
    assert not finished(tmp_path, depends=2)[0].restore()
    (cached.folder / "1").write_text("altered")
    assert not finished(tmp_path)[0].restore() and not file.exists()
    assert not OutputCache(None, 1, [], [file]).restore(), "without a place nothing is kept"
