"""Options of measurements: what says how is in the store, what says where is not; wrong ones end early."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.options import load
from implicit_sparsity.workflow import measures, source


def test_settings_are_how_and_not_where():
    settings = load("measurements", "activations", stages="all", controls=["bare"], top_k=[4, 0.1]).settings()
    assert settings == {
        "tokens": 2048,
        "groups": 32,
        "top_k": [4, 0.1],
        "thresholds": [0.01, 0.1],
        "skip_first": 1,
        "batch_tokens": 512,
    }


@pytest.mark.parametrize(
    "name, option, value",
    [
        ("activations", "top_k", [4, 4]),
        ("activations", "top_k", [1.5]),
        ("activations", "top_k", []),
        ("thresholds", "levels", [1]),
        ("drift", "stages", "base"),
        ("input_spectra", "stages", "final"),
    ],
)
def test_wrong_options_are_refused(name, option, value):
    with pytest.raises(InputError, match=option):
        load("measurements", name, **{option: value})


@pytest.mark.parametrize("name", source.available("measurements"))
def test_work_grows_with_the_documents(name):
    """Every measurement can be planned wherever it is made, and takes more where documents are longer."""
    measurement = load("measurements", name)
    read = measures.of({name: {}})[name]
    stages = [stage for stage in (0, 1, 2) if (stage >= read.first_stage if stage else read.of_base)]
    assert stages
    for stage in stages:
        short, long = (
            sum(p.tokens for p in measurement.passes(4, length, stage)) for length in (50.0, 100.0)
        )
        assert 0 < short <= long
        assert short < long or "tokens" in measurement.settings()
