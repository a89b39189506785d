"""Files and folders are whole or not there; what was there stays where writing fails."""

import hashlib
import os
import shutil

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


def test_the_sum_is_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(256)) * 5000)
    assert files.sha256(tmp_path / "x") == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()


def test_a_text_is_written_as_it_is_and_json_as_it_was_given(tmp_path):
    files.write_text(tmp_path / "x", "é\r\n\u2028\n")
    assert (tmp_path / "x").read_bytes() == "é\r\n\u2028\n".encode()
    files.write_json(tmp_path / "y", {"b": "é", "a": [1]})
    assert (tmp_path / "y").read_bytes() == '{\n  "b": "é",\n  "a": [\n    1\n  ]\n}\n'.encode()


def test_a_folder_is_replaced_whole_and_what_another_try_left_is_gone(tmp_path):
    (tmp_path / "deep" / ".partial-b").mkdir(parents=True)
    (tmp_path / "deep" / ".partial-b" / "half").write_text("x")
    for name in ("one", "two"):
        with files.new_folder(tmp_path / "deep" / "b") as new:
            (new / name).write_text(name)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == ["deep/b/two"]


def test_a_file_that_several_machines_make_has_a_temporary_name_of_each(tmp_path):
    with files.new_file(tmp_path / "x") as alone, files.new_file(tmp_path / "x", shared=True) as shared:
        assert alone.name == ".partial-x" != shared.name and shared.name.endswith("-x")
        assert str(os.getpid()) in shared.name and os.uname().nodename in shared.name
        alone.write_text("1")
        shared.write_text("2")
    assert (tmp_path / "x").read_text() == "1", "who ends last has written it"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_link_is_a_second_name_or_what_is_done_otherwise(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("1")
    files.link(tmp_path / "a", tmp_path / "b", otherwise=shutil.copyfile)
    assert (tmp_path / "b").samefile(tmp_path / "a")

    def refuse(source, target):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    files.link(tmp_path / "a", tmp_path / "c", otherwise=shutil.copyfile)
    assert (tmp_path / "c").read_text() == "1" and not (tmp_path / "c").samefile(tmp_path / "a")
    with pytest.raises(OSError, match="no hard links here"):
        files.link(tmp_path / "a", tmp_path / "d")


def test_a_file_of_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "data.txt").write_text("1")
    (tmp_path / "some_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert files.package_file("some_package", "data.txt") == package / "data.txt"
    with pytest.raises(InputError, match=r"none\.txt: package 'some_package' does not ship this file$"):
        files.package_file("some_package", "none.txt")
    for name in ("no_such_package", "some_module"):
        with pytest.raises(InputError, match=rf"^package '{name}' is not installed; run `make`"):
            files.package_file(name, "data.txt")


@pytest.mark.parametrize(
    "name", ["../secret.txt", "sub/../../secret.txt", "/etc/passwd", "link.txt", "linked/secret.txt", ""]
)
def test_a_package_file_is_inside_the_package(tmp_path, monkeypatch, name):
    package = tmp_path / "held_package"
    (package / "sub").mkdir(parents=True)
    for path in (package / "__init__.py", tmp_path / "secret.txt", package / "sub" / "own.txt"):
        path.write_text("1")
    (package / "link.txt").symlink_to(tmp_path / "secret.txt")
    (package / "linked").symlink_to(tmp_path)
    (package / "inner.txt").symlink_to(package / "sub" / "own.txt")
    monkeypatch.syspath_prepend(tmp_path)
    assert files.package_file("held_package", "sub", "own.txt").read_text() == "1"
    assert files.package_file("held_package", "inner.txt").is_file(), "a link within the package"
    with pytest.raises(InputError, match=r"is not inside the package 'held_package'$"):
        files.package_file("held_package", name)


@pytest.mark.parametrize("package", ["..", "", "os.path", "a b", ".json", "held_package.sub"])
def test_what_cannot_be_a_package_is_not_looked_for(package):
    with pytest.raises(InputError, match=r"is not installed; run `make`"):
        files.package_file(package, "data.txt")


def test_a_version_is_of_what_is_installed():
    assert files.version("pytest") == pytest.__version__
    with pytest.raises(InputError, match=r"^package 'no-such-package' is not installed$"):
        files.version("no-such-package")
