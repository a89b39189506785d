"""Activation stores: what xarray alone reads back, and that no damage is read as numbers."""

import hashlib
import shutil
import warnings

import numpy as np
import pytest
from planted import metadata, write_scores

from implicit_sparsity.errors import InputError
from implicit_sparsity.storage.store import open_store, write_store


@pytest.fixture
def scores():
    return np.random.default_rng(0).random((2, 3, 40))


def digest(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    parts = [str(file.relative_to(folder)).encode() + file.read_bytes() for file in files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_xarray_alone_reads_it_back_without_a_warning(tmp_path, scores):
    import xarray

    path = write_scores(tmp_path / "s.zarr", scores, "code")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xarray.open_zarr(path).load()
    assert dataset["sum_abs"].dims == ("half", "layer", "neuron")
    np.testing.assert_array_equal(dataset["sum_abs"], scores * 1000)
    assert list(dataset["half"].values) == ["a", "b"]
    assert dataset.attrs["domain"] == "code"
    for variable in dataset.variables.values():
        assert variable.attrs["long_name"] and variable.attrs["units"]


def test_zarr_version_and_consolidated_metadata(tmp_path, scores):
    import json

    path = write_scores(tmp_path / "s.zarr", scores, "code")
    metadata = json.loads((path / "zarr.json").read_text())
    assert metadata["zarr_format"] == 3
    assert "sum_abs" in metadata["consolidated_metadata"]["metadata"]


def test_equal_input_gives_equal_bytes(tmp_path, scores):
    first, second = (write_scores(tmp_path / name, scores, "code") for name in ("a.zarr", "b.zarr"))
    assert digest(first) == digest(second)
    other = write_scores(tmp_path / "c.zarr", scores + 1e-9, "code")
    assert digest(first) != digest(other)


def test_special_values_survive(tmp_path):
    values = np.array([np.nan, np.inf, -0.0, 0.0, 5e-324])
    path = write_store(tmp_path / "s.zarr", {"x": (("layer",), values, metadata())}, {"layer": range(5)}, {})
    assert open_store(path)["x"].values.tobytes() == values.tobytes()


def test_large_variables_are_split_along_layers_and_come_back(tmp_path):
    values = np.random.default_rng(0).random((2, 40, 40_000))
    path = write_store(
        tmp_path / "s.zarr",
        {"x": (("half", "layer", "neuron"), values, metadata())},
        {"half": np.array(["a", "b"])},
        {},
    )
    assert len([f for f in (path / "x" / "c").rglob("*") if f.is_file()]) > 1
    np.testing.assert_array_equal(open_store(path)["x"], values)


def test_only_what_is_asked_for_is_read(tmp_path, scores):
    path = write_scores(tmp_path / "s.zarr", scores, "code")
    assert set(open_store(path, ["tokens"], optional=["routed_tokens"]).data_vars) == {"tokens"}
    with pytest.raises(InputError, match="has no routed_tokens"):
        open_store(path, ["routed_tokens"])


def chunk_of(path, name):
    return next(file for file in sorted((path / name / "c").rglob("*")) if file.is_file())


def cut(path):
    file = chunk_of(path, "sum_abs")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(path):
    file = chunk_of(path, "sum_abs")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


DAMAGE = {
    "no store": shutil.rmtree,
    "chunk missing": lambda path: chunk_of(path, "sum_abs").unlink(),
    "chunk of zeros missing": lambda path: chunk_of(path, "zero_count").unlink(),
    "chunk cut short": cut,
    "one bit flipped": flip,
    "no root metadata": lambda path: (path / "zarr.json").unlink(),
    "root metadata cut": lambda path: (path / "zarr.json").write_text('{"zarr_format": 3, '),
    "variable gone": lambda path: shutil.rmtree(path / "sum_abs"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_clear_line(tmp_path, scores, damage):
    path = write_scores(tmp_path / "s.zarr", scores, "code")
    damage(path)
    with pytest.raises(InputError) as error:
        open_store(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_failed_write_leaves_the_old_store(tmp_path, scores):
    path = write_scores(tmp_path / "s.zarr", scores, "code")
    before = digest(path)
    with pytest.raises(ValueError, match="units"):
        write_store(path, {"x": (("layer",), np.zeros(2), {"long_name": "x"})}, {}, {})
    assert digest(path) == before
    write_scores(path, scores + 1, "code")
    assert digest(path) != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.zarr"]


def test_a_shape_that_does_not_fit_its_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match="dimensions"):
        write_store(tmp_path / "s.zarr", {"x": (("layer",), np.zeros((2, 2)), metadata())}, {}, {})
