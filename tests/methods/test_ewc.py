"""EWC: the state of later stages, and the two ends of its weight."""

import torch
from safetensors.torch import load_file
from test_methods import train, trained  # noqa: F401 (a fixture)

from implicit_sparsity.models import adapters, loading
from implicit_sparsity.options import load
from implicit_sparsity.storage import tensors
from implicit_sparsity.training import stage
from implicit_sparsity.updates import fisher

FILE = "adapter_model.safetensors"


def test_fisher_of_later_stages_is_added_and_faded(trained, nano, tmp_path):  # noqa: F811
    """State of stage 2 = gamma * that of stage 1 + the new domain's, at the trained point."""
    first = trained("dense", "ewc")[0][0]
    options = {"documents": 4, "gamma": 0.5}
    here, method, result, _ = train(nano, "dense", "ewc", 2, tmp_path / "x", first, options)
    old, new = tensors.load_state(first), result["state"]
    documents = here.select_documents()[:4]
    own = fisher.diagonal(here.model, documents, here.stream("fisher"))
    assert old.keys() == new.keys() == own.keys() == method.snapshot(here.model).keys()
    for name in own:
        torch.testing.assert_close(new[name], own[name] + 0.5 * old[name])
    sizes = [(folder / "state.safetensors").stat().st_size for folder in (first, tmp_path / "x")]
    assert sizes[0] == sizes[1] <= 1.2 * (first / FILE).stat().st_size


def test_weight_zero_is_plain_lora_to_the_bit_and_a_large_one_stays_near(trained, nano, tmp_path):  # noqa: F811
    first, lora = (run[0] for run in trained("dense", "lora"))
    train(nano, "dense", "ewc", 2, tmp_path / "zero", first, {"weight": 0.0})
    assert (tmp_path / "zero" / FILE).read_bytes() == (lora / FILE).read_bytes()
    guarded = trained("dense", "ewc")[0][0]
    assert (guarded / FILE).read_bytes() == (first / FILE).read_bytes(), "the first stage has nothing to hold"
    train(nano, "dense", "ewc", 2, tmp_path / "held", guarded, {"weight": 1e6, "documents": 4})
    held = fisher.Penalty(*moved_from(guarded, nano))
    costs = [
        float(held(adapters.add_adapter(loading.load(nano("dense")[0]), f)))
        for f in (tmp_path / "held", lora)
    ]
    assert costs[0] < 0.5 * costs[1]


def moved_from(folder, nano):
    """(anchor, Fisher) that a stage leaves, as stage 2 reads them."""
    model, tokens = nano("dense")
    here = stage.Stage(str(model), ["code", "math"], [tokens["code"], tokens["math"]], 0, {}, str(folder))
    method = load("methods", "ewc")
    anchor = method.snapshot(method.begin(here))
    assert len(load_file(folder / FILE)) == len(anchor)
    return anchor, tensors.load_state(folder)
