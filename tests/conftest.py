"""Fixtures that several rooms share. One thread a test: nano networks gain nothing from more."""

import os

import pytest

# before any test imports torch: two threads collapse where another process competes for the cores
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# what was read of our own code is noted beside it, as in a user's checkout (fingerprints.py)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Snakemake's SLURM plugin asks sacct when it is imported, in every job: ten seconds where a cluster is
# installed and does not run. Tests of a cluster name their own.
os.environ.setdefault("SLURM_CONF", os.devnull)


LONGEST = (
    "test_workflow",
    "test_slurm",
    "test_faults",
    "test_archive_of_a_study",
    "test_config",
    "test_preflight",
)
LONGEST += ("test_docs", "test_distributed", "test_drift")


def pytest_collection_modifyitems(items):
    """The longest files first: of two workers none is left alone with one of them at the end."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session")
def nano(tmp_path_factory):
    """kind -> (model folder, {domain: token folder}), made on first use; its weights in float64 under the
    fixture of that name."""
    import networks
    import torch

    made = {}

    def get(kind: str):
        key = kind, torch.get_default_dtype()
        if key not in made:
            place = tmp_path_factory.mktemp(kind)
            model = networks.make_model(place / "model", kind)
            tokens = {name: networks.make_tokens(place / name, model, name) for name in networks.WORDS}
            made[key] = (model, tokens)
        return made[key]

    return get


@pytest.fixture
def float64(monkeypatch):
    """Whatever asks for float32 computes in float64 meanwhile, in processes forked from this one too; no
    file with float32 weights can be read.

    For what two ways of computing must agree on but for rounding: nano networks magnify a rounding of a
    weight a thousandfold and AdamW makes a step of a gradient that is nothing else, so that in float32 a
    router's next decision may depend on the processor. In float64 routers hold to their choice: sums of at
    most 320 terms, about 100 of them in sequence, round to sqrt(320 * 100) * 2^-52 = 4e-14 of a number, of
    logits and gradients, magnified, to 1e-9. What differs by more was computed differently.
    """
    import torch
    from transformers.integrations import moe

    single = torch.get_default_dtype()
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch, "float", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(moe, "_can_use_grouped_mm", lambda *given: False)  # torch's kernel has no float64
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(single)
