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
# tests lay their tensors in the host's memory, and models load onto a GPU where one is visible. What can run
# on one does where it is named: CUDA_VISIBLE_DEVICES=0 pytest tests/passes/test_hot_path.py
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


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
