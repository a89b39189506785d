"""Files and folders are whole or not there; what was there stays where writing fails."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage import files


def test_a_failed_write_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    files.write_text(tmp_path / "a" / "x.txt", "old")
    with files.new_folder(tmp_path / "b") as new:
        (new / "one").write_text("1")
    with pytest.raises(RuntimeError), files.new_file(tmp_path / "a" / "x.txt") as new:
        new.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), files.new_folder(tmp_path / "b") as new:
        (new / "two").write_text("2")
        raise RuntimeError
    left = {p.relative_to(tmp_path).as_posix(): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"a/x.txt": "old", "b/one": "1"}


def test_json_that_is_none_names_its_file(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert files.read_json(tmp_path / "x.json") == {"b": 1, "a": "é"}
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "x.json", float("nan"))
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(InputError, match=r"y\.json: is not JSON"):
        files.read_json(tmp_path / "y.json")
    with pytest.raises(InputError, match=r"z\.json: cannot be read: No such file"):
        files.read_json(tmp_path / "z.json")
