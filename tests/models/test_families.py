"""What the registry refuses: an architecture that nobody compared with transformers' own forward."""

import json

import prepare_model
import pytest

from implicit_sparsity import errors
from implicit_sparsity.models import loading
from implicit_sparsity.planning import plan


def unknown(folder, **config):
    """A folder whose configuration is of no known family."""
    folder.mkdir()
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "no_such_family", None, ["llama"]])
def test_an_unknown_family_is_refused_by_name_before_anything_else(tmp_path, name):
    """At preparation, by the plan and where a folder is loaded; no weights are read."""
    folder = unknown(tmp_path / "given", model_type=name, text_config={"model_type": "llama"})
    base = {"source": "path", "path": str(folder), "layers": 2, "width": 64}
    line = rf"model_type: {name!r} is no architecture .*; known: cohere, .*llama".replace("[", r"\[")
    for refused in (
        lambda: prepare_model.prepare_model(str(tmp_path / "made"), "m", base),
        lambda: plan.study_of({"models": {"m": base}}, tmp_path),
        lambda: loading.load(folder),
        lambda: loading.create({"model_type": name}, 0),
    ):
        with pytest.raises(errors.InputError, match=line):
            refused()
    assert not (tmp_path / "made").exists()
