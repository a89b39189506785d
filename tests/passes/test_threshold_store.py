"""Losses under thresholds and masks as a store: each stands where its labels say, and what was not measured
is not there."""

import numpy as np
import pytest
from networks import document
from planted import BARE, DOMAINS, LEVELS, SHARES

from implicit_sparsity.passes import accumulators, threshold_store
from implicit_sparsity.passes.calibration import Calibration
from implicit_sparsity.storage.store import open_store, write_store

LAYERS, PARTS = 2, 3
DOCUMENTS = [document(range(9), 3, "x"), document(range(5), 2, "y"), document(range(7), 0, "x")]
OPTIONS = LEVELS | {"cross": [0.5, 0.9]}


def calibrations():
    """Of each domain another threshold: the bin that all its |h| are in."""
    made = {}
    for place, name in enumerate(DOMAINS):
        histogram = np.zeros((LAYERS, PARTS, accumulators.BINS), int)
        histogram[..., 50 + place] = 10
        made[name] = Calibration(histogram, np.ones((LAYERS, 5)))
    return made


def cells(options):
    """As ``thresholding.measure``: nats 100 i + 10 t + d + part, zeros i + l / 10, of all ways to run it."""
    names = [("curve", i, "") for i in range(len(SHARES))]
    names += [("again", i, "") for i in range(len(SHARES)) if options["numerical_floor"] != "none"]
    for i in range(2):
        names += [("mask", i, name) for name in DOMAINS]
        names += [("threshold", i, name) for name in DOMAINS if options["cross_thresholds"]]
        names += [("random", i, str(r)) for r in range(options["random_masks"])]
    result = {}
    for kind, i, item in names:
        part = 0.25 * DOMAINS.index(item) if item in DOMAINS else 0.5 if item == "1" else 0
        nats = 100 * i + 10 * np.arange(3)[:, None] + np.arange(3) + part
        result[kind, i, item] = nats, i + np.arange(LAYERS) / 10
    return result


def stored(folder, **more):
    options = OPTIONS | more
    given = cells(options), DOCUMENTS, "math", calibrations(), options, BARE
    path = write_store(folder / "s.zarr", *threshold_store.as_store(*given), {"domain": "math"})
    return open_store(path)


def test_each_loss_stands_where_its_labels_say(tmp_path):
    store = stored(tmp_path)
    at = {"tokens": "completion", "document": 2}
    assert store["curve_loss"].sel(level=0.4, **at) == 212 == store["again_loss"].sel(level=0.4, **at)
    for kind in ("mask", "threshold"):
        assert store[f"{kind}_loss"].sel(cross=0.9, calibration="medical", **at) == 112.5
        assert store[f"{kind}_zeros"].sel(cross=0.9, calibration="medical", layer=1) == 1.1
    assert store["random_loss"].sel(cross=0.5, draw="1", **at) == 12.5
    assert store["curve_zeros"].sel(level=0.25).values.tolist() == [1.0, 1.1]
    assert store["level"].values.tolist() == SHARES.tolist()
    assert store["group"].values.tolist() == ["x", "y", "x"]
    assert store["part"].values.tolist() == [0, 1, -1], "the last is that of all or of the shared expert"


def test_thresholds_are_the_domains_own_and_tokens_are_counted(tmp_path):
    store, edges = stored(tmp_path), accumulators.bin_edges()
    thresholds = store["thresholds"]
    assert (thresholds.sel(level=0.0) == 0).all()
    place = 50 + DOMAINS.index("math")
    inside = thresholds.sel(level=SHARES[1:])
    assert ((inside > edges[place]) & (inside < edges[place + 1])).all()
    counts = store["token_count"]
    assert counts.sel(tokens="completion").values.tolist() == [6, 3, 6], "the first token never counts"
    assert counts.sel(tokens="content").values.tolist() == [5, 2, 6]
    assert counts.sel(tokens="all").values.tolist() == [8, 4, 6]


@pytest.mark.parametrize(
    ("more", "missing"), [({"numerical_floor": "none"}, "again"), ({"cross_thresholds": False}, "threshold")]
)
def test_what_was_not_measured_is_not_there(tmp_path, more, missing):
    whole, less = set(stored(tmp_path / "a")), set(stored(tmp_path / "b", **more))
    assert whole - less == {f"{missing}_loss", f"{missing}_zeros"} and less < whole
