"""Which files are a model's weights, and what their headers and the index say against each other."""

import json

import multimodal
import pytest
import torch
from safetensors.torch import save_file

from implicit_sparsity.errors import InputError
from implicit_sparsity.models import weight_files
from implicit_sparsity.storage.model_folder import ModelFolder

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def folder(tmp_path):
    """Two shards, of two tensors each, and their index."""
    tensors = {f"{name}.weight": torch.ones(2, 3) for name in "abcd"}
    multimodal.save_shards(tmp_path, tensors, 2, save_file)
    return ModelFolder(tmp_path, "models/mine")


def checked(folder):
    return weight_files.check_headers(folder, weight_files.named(folder, folder.names()))


def refused(folder) -> str:
    with pytest.raises(InputError) as error:
        checked(folder)
    assert str(error.value).startswith("models/mine")
    return str(error.value).removeprefix("models/mine").lstrip(":/ ")


def test_shards_by_their_index(folder):
    (folder.path / "consolidated.safetensors").write_text("another form of the same")
    opened = checked(folder)
    assert list(opened) == [ONE, TWO]
    assert {name for tensors in opened.values() for name in tensors} == {f"{name}.weight" for name in "abcd"}


def test_a_single_file(folder):
    (folder.path / ONE).rename(folder.path / "model.safetensors")
    (folder.path / weight_files.INDEX).unlink()
    assert list(checked(folder)) == ["model.safetensors"]


def without_index(path, *names):
    (path / weight_files.INDEX).unlink()
    for old, new in zip((ONE, TWO), names, strict=False):
        (path / old).rename(path / new)


def with_map(path, content):
    (path / weight_files.INDEX).write_text(json.dumps(content))


FAULTS = {
    "shard missing": (
        lambda p: (p / TWO).unlink(),
        f"{weight_files.INDEX} names {TWO}, which is not there (1 missing)",
    ),
    "two sets": (
        lambda p: (p / "model.safetensors").write_bytes((p / ONE).read_bytes()),
        f"{weight_files.INDEX} and model.safetensors are both there, two sets of weights",
    ),
    "no index": (
        without_index,
        f"has no safetensors weights ({ONE} and others, but no {weight_files.INDEX})",
    ),
    "other name": (
        lambda p: without_index(p, "consolidated.safetensors", "consolidated.01.safetensors"),
        "has no safetensors weights (only consolidated.01.safetensors, and model.safetensors is what",
    ),
    "pickled": (
        lambda p: without_index(p, "pytorch_model.bin", "more.bin"),
        "has no safetensors weights (only pickled ones, which are refused: more.bin)",
    ),
    "pointer": (
        lambda p: (p / ONE).write_text("version https://git-lfs\noid sha256:0\nsize 9\n"),
        f"{ONE}: is a pointer of Git LFS, not the file itself",
    ),
    "empty": (lambda p: (p / ONE).write_bytes(b""), f"{ONE}: is empty"),
    "no safetensors": (
        lambda p: (p / ONE).write_bytes(b"\x08" + b"\0" * 7 + b"nonsense"),
        f"{ONE}: is no safetensors",
    ),
    "truncated": (lambda p: (p / ONE).write_bytes((p / ONE).read_bytes()[:-4]), f"{ONE}: is truncated: "),
    "no map": (lambda p: with_map(p, {"metadata": {}}), f"{weight_files.INDEX}: weight_map: names no files"),
    "a list": (lambda p: with_map(p, [ONE]), f"{weight_files.INDEX}: is not a JSON object"),
    "outside": (
        lambda p: with_map(p, {"weight_map": {"a.weight": "../model.safetensors"}}),
        f"{weight_files.INDEX} names ../model.safetensors, which is not there",
    ),
    "elsewhere": (
        lambda p: with_map(p, {"weight_map": {"a.weight": TWO, "b.weight": TWO, "c.weight": ONE}}),
        f"{weight_files.INDEX}: weight_map.a.weight: {TWO} does not hold it",
    ),
    "twice": (
        lambda p: save_file(
            {"a.weight": torch.ones(1), "d.weight": torch.ones(1), "b.weight": torch.ones(1)}, p / TWO
        ),
        f"{TWO}: a.weight: stands in {ONE}, too",
    ),
    "quantized": (
        lambda p: save_file({"b.qweight": torch.ones(2, 2, dtype=torch.int32)}, p / TWO),
        f"{TWO}: b.qweight: is of type I32",
    ),
    "no tensors": (
        lambda p: (without_index(p, "model.safetensors"), save_file({}, p / "model.safetensors")),
        "model.safetensors: holds no tensor",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(folder, fault):
    change, line = FAULTS[fault]
    change(folder.path)
    assert refused(folder).startswith(line)


def test_buffers_may_be_integers(folder):
    buffers = {"b.weight": torch.ones(2, 3), "d.weight": torch.ones(2, 3)}
    buffers |= {"embeddings.position_ids": torch.ones(1, 9, dtype=torch.int64)}
    save_file(buffers, folder.path / TWO)
    assert "embeddings.position_ids" in checked(folder)[TWO]


def test_a_hubs_names_are_enough_before_the_shards_come(folder):
    """Only the index is there yet."""
    names = folder.names()
    (folder.path / ONE).unlink(), (folder.path / TWO).unlink()
    assert weight_files.named(folder, names) == [ONE, TWO]
    with pytest.raises(InputError, match="1 missing"):
        weight_files.named(folder, names - {ONE})
