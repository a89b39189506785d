"""What a method trains and saves, told by its options, against real stages on nano networks."""

import networks
import pytest

from implicit_sparsity.options import load
from implicit_sparsity.planning import shapes, trained
from implicit_sparsity.training import fit
from implicit_sparsity.training.stage import Stage

SETTINGS = networks.TRAINING | {"steps": 1, "gradient_checkpointing": False, "packing": False}
METHODS = {
    "lora": {"rank": 4},
    "activation_mask": {"fraction": 0.1, "protect": 0.0},
    "orthogonal": {"rank": 2, "max_rank": 2, "sample_tokens": 64},
}


def stage_of(nano, kind, tmp_path, name, domains, previous=None):
    """Train one step of a stage for real; (numbers that a gradient reaches, its folder)."""
    model, tokens = nano(kind)
    stage = Stage(str(model), domains, [str(tokens[d]) for d in domains], 0, SETTINGS, previous)
    method = load("methods", name, **METHODS[name])
    folder = tmp_path / f"{name}.{len(domains)}"
    folder.mkdir()
    scratch = tmp_path / f"scratch.{name}.{len(domains)}"
    scratch.mkdir()
    result = fit.run_stage(stage, method, scratch)
    count = sum(p.numel() for p in stage.model.parameters() if p.requires_grad)
    stage.save(method, folder, result["state"])
    return count, folder


def reported(kind, name):
    return trained.of_method(shapes.of_config(networks.CONFIGS[kind]), name, METHODS[name])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", networks.CONFIGS)
def test_numbers_and_files_of_two_stages(nano, tmp_path, kind, name):
    method, previous = reported(kind, name), None
    for stage, domains in enumerate((["code"], ["code", "math"]), 1):
        count, folder = stage_of(nano, kind, tmp_path, name, domains, previous)
        assert count == method.parameters
        size = (folder / "adapter_model.safetensors").stat().st_size
        names = 140 * 2 * len(method.shape.weights) * method.shape.layers  # the header, which names tensors
        formula = method.adapter_bytes(stage)
        if name == "activation_mask" and kind == "mixture":
            assert size >= 0.9 * formula, "an even spread over experts is the least there can be"
        else:
            assert formula == pytest.approx(size, abs=names, rel=0.01)
        state = folder / "state.safetensors"
        if state.is_file():
            assert state.stat().st_size <= 1.05 * method.state_bytes(stage) + names
        previous = str(folder)


def test_state_of_subspaces_where_all_directions_are_used(nano, tmp_path):
    """With an energy of 1 every weight claims ``max_rank`` directions."""
    method = reported("dense", "orthogonal")
    METHODS["orthogonal"]["energy"] = 1.0
    try:
        _, folder = stage_of(nano, "dense", tmp_path, "orthogonal", ["code"])
    finally:
        del METHODS["orthogonal"]["energy"]
    size = (folder / "state.safetensors").stat().st_size
    assert size == pytest.approx(method.state_bytes(1), rel=0.25, abs=8000)
