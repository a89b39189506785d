"""Members of a planted wheel, the refusals of a missing and of another one, and the pins."""

import re
import zipfile
from pathlib import Path

import pytest
from corpora_samples import plant_wheel

from implicit_sparsity.corpora import wheels
from implicit_sparsity.errors import InputError

LOCK = Path(__file__).parents[2] / "envs" / "wheels.lock"


def test_a_member_is_read_without_unpacking(monkeypatch, tmp_path):
    path = plant_wheel(monkeypatch, tmp_path, "evals", {"a/b.txt": b"one\n\n two\n", "c": b"\xff"})
    assert wheels.member("evals", "c") == b"\xff" and wheels.version("evals") == "1"
    assert list(wheels.lines("evals", "a/b.txt")) == ["one", " two"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_wheel_and_a_missing_member_are_named(monkeypatch, tmp_path):
    path = plant_wheel(monkeypatch, tmp_path, "evals", {"a": b""})
    with pytest.raises(InputError, match=r"no file b") as caught:
        wheels.member("evals", "b")
    assert str(path) in str(caught.value)
    monkeypatch.setattr(wheels, "folder", lambda: tmp_path / "elsewhere")
    with pytest.raises(InputError, match="make env") as caught:
        wheels.member("evals", "a")
    assert "evals-1-py3-none-any.whl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_wheel_with_another_checksum_is_refused(monkeypatch, tmp_path):
    path = plant_wheel(monkeypatch, tmp_path, "evals", {"a": b"as pinned"})
    with zipfile.ZipFile(path, "a") as wheel:
        wheel.writestr("b", b"more")
    with pytest.raises(InputError, match="not the pinned one"):
        wheels.member("evals", "a")


def test_the_lock_fetches_what_is_pinned():
    pins = re.findall(r"^([a-z-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", LOCK.read_text(), re.M)
    assert {name: (version, digest) for name, version, digest in pins} == wheels.PINS
    script = LOCK.with_name("corpora.post-deploy.sh").read_text()
    assert all(f"{name}=={version} --hash=sha256:{digest}\n" in script for name, version, digest in pins)
