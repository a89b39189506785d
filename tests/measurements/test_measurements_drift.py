"""Drift takes the networks that were planned, and compares with the stage before where there is one."""

import networks
import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.measurements.base import Subject
from implicit_sparsity.options import load

OPTIONS = {"documents": 4, "positions": 4, "directions": 2, "batch_tokens": 200}


class Counting(Subject):
    """Notes what is loaded."""

    def load_other(self, adapter):
        self.attrs.setdefault("loaded", []).append(adapter)
        return super().load_other(adapter)


def test_drift_is_not_of_base():
    with pytest.raises(InputError, match="not of base"):
        load("measurements", "drift").measure(Subject("model", {}, "base", {}))


@pytest.fixture(scope="module")
def stage(nano, tmp_path_factory):
    """An adapter that moves the states."""
    from implicit_sparsity.models import loading

    folder = tmp_path_factory.mktemp("stage")
    network = loading.load(nano("llama")[0], device="cpu")
    networks.make_adapter(network, folder, lambda name, a, b: (a.fill_(0.1), b.fill_(0.1)))
    return str(folder)


@pytest.mark.parametrize("number", [1, 2])
def test_networks_are_loaded_as_planned(nano, stage, number):
    from implicit_sparsity.corpora.tokens import Tokens

    model, tokens = nano("llama")
    shards = {domain: Tokens(tokens[domain]) for domain in ("code", "math")}
    previous = stage if number > 1 else None  # the stage before, of which nothing was changed since
    subject = Counting(str(model), {}, f"lora.o.seed0.stage{number}", shards, "", stage, previous)
    measurement = load("measurements", "drift", **OPTIONS)
    arrays, coords = measurement.measure(subject)
    loaded = subject.attrs["loaded"]
    assert loaded == ([None, stage] if number == 1 else [None, stage, stage])
    (forward,) = measurement.passes(2, 50.0, number)
    assert forward.tokens == len(loaded) * 2 * 4 * 50 and forward.loads == len(loaded) - 1
    assert coords["reference"][1].tolist() == ["base", "previous"][:number]
    assert coords["domain"][1].tolist() == ["code", "math"]
    dims, drift, _ = arrays["drift"]
    moved = drift.take(coords["measure"][1].tolist().index("relative_l2"), axis=dims.index("measure"))
    assert (moved[0] > 0.01).all(), "from the base model"
    np.testing.assert_allclose(moved[1:], 0, atol=1e-6)


def test_no_more_directions_than_there_are_states():
    with pytest.raises(
        InputError, match=r"^directions: found 20, allowed: fewer than documents x positions \(20\)"
    ):
        load("measurements", "drift", documents=5, positions=4, directions=20)
