"""Fixtures that several rooms share. One thread a test: nano networks gain nothing from more."""

import os
import sys

import pytest

# before any test imports torch: two threads collapse where another process competes for the cores
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# what was read of our own code is noted beside it, as in a user's checkout (fingerprints.py)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Snakemake's SLURM plugin asks sacct when it is imported, in every job: ten seconds where a cluster is
# installed and does not run. Tests of a cluster name their own.
os.environ.setdefault("SLURM_CONF", os.devnull)
# tests lay their tensors in the host's memory, and models load onto a GPU where one is visible. What can run
# on one does where it is named: CUDA_VISIBLE_DEVICES=0 pytest tests/passes
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


LONGEST = (
    "test_slurm",
    "test_methods",
    "test_workflow",
    "test_docs",
    "test_faults",
    "test_training_benchmark",
    "test_sharding",
    "test_launcher",
    "test_docs_example",
    "test_models_sources",
    "test_fit",
    "test_files",
    "test_archive_of_a_study",
    "test_numerics",
    "test_orthogonal",
    "test_thesis",
    "test_preflight",
    "test_representation_drift",
    "test_gpu_benchmark",
    "test_hub",
    "test_format_warmup_of_a_study",
    "test_relearning",
    "test_format_warmup",
)


def pytest_collection_modifyitems(items):
    """The longest files first: no worker is left alone with one of them at the end."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True)
def seeded():
    """A test draws the same numbers whatever ran before it."""
    if torch := sys.modules.get("torch"):  # not imported for this
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def nano(tmp_path_factory):
    """kind -> (model folder, {domain: token folder}), made on first use."""
    import networks

    made = {}

    def get(kind: str):
        if kind not in made:
            place = tmp_path_factory.mktemp(kind)
            model = networks.make_model(place / "model", kind)
            tokens = {name: networks.make_tokens(place / name, model, name) for name in networks.WORDS}
            made[kind] = (model, tokens)
        return made[kind]

    return get


@pytest.fixture
def float64(nano, monkeypatch):
    """What asks for float32 computes in float64 meanwhile, in processes forked from this one too.

    For what two ways of computing must agree on but for rounding: nano networks magnify a rounding of a
    weight a thousandfold and AdamW makes a step of a gradient that is nothing else, so that in float32 a
    router's next decision may depend on the processor. In float64 routers hold to their choice: sums of at
    most 320 terms, about 100 of them in sequence, round to sqrt(320 * 100) * 2^-52 = 4e-14 of a number, of
    logits and gradients, magnified, to 1e-9. What differs by more was computed differently.
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from transformers.integrations import moe

    from implicit_sparsity.models import loading

    class Wide(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            wide = lambda x: torch.float64 if x is torch.float32 else x  # noqa: E731
            function = torch.Tensor.double if function is torch.Tensor.float else function
            return function(*map(wide, args), **{name: wide(x) for name, x in (kwargs or {}).items()})

    def backward(*given, run=torch.autograd._engine_run_backward, **more):
        with Wide():  # which torch leaves while it calls ``backward``: layers may be computed again there
            return run(*given, **more)

    for kind in ("dense", "mixture", "llama"):
        nano(kind)  # in float32, whoever asks first
    load, single = loading.load, torch.get_default_dtype()
    monkeypatch.setattr(loading, "load", lambda *given, **more: load(*given, **more).double())
    monkeypatch.setattr(moe, "_can_use_grouped_mm", lambda *given: False)  # torch's kernel has no float64
    monkeypatch.setattr(torch.autograd, "_engine_run_backward", backward)
    torch.set_default_dtype(torch.float64)
    with Wide():
        yield
    torch.set_default_dtype(single)
