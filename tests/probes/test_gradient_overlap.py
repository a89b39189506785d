"""Gradient probe: planted means, scatter and directions; labels that mean nothing; sources; broken stores."""

import shutil

import numpy as np
import pandas as pd
import pytest
from planted import DOMAINS, PAIR, noisy_gradients, write_gradients
from probe_table import probe_table

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import gradients, pairs
from implicit_sparsity.options import load
from implicit_sparsity.passes import gradient_sketches
from implicit_sparsity.storage.store import open_store
from implicit_sparsity.storage.tables import read_table

QUICK = {"resamples": 200, "permutations": 40, "k": (2,)}


def measure(folder, planted, columns=4, names=None, sources=None, **options):
    """Table of stores with ``planted``: domain -> sketches [half, document, module, dim].

    names: of groups. sources: domain -> source of each document.
    """
    datasets, how = {}, {"columns": columns, "names": names}
    for domain, values in planted.items():
        more = how | {"sources": (sources or {}).get(domain)}
        datasets[domain] = open_store(write_gradients(folder / f"{domain}.zarr", values, domain, **more))
    return pd.DataFrame(load("probes", "gradient_overlap", **QUICK | options).rows(datasets))


def part(frame, quantity, measure="cosine", own=False, kind=None):
    same = (frame["domain_a"] == frame["domain_b"]) == own
    rows = frame[same & (frame["quantity"] == quantity) & (frame["measure"] == measure)]
    return rows[rows["kind"] == kind] if kind else rows


@pytest.mark.parametrize("cosine", [0.0, 0.4, 0.8])
def test_planted_cosine_is_within_its_interval_and_the_raw_one_is_not_it(tmp_path, cosine):
    planted = noisy_gradients(np.random.default_rng(1), cosine, modules=40, noise=2.0)
    frame = measure(tmp_path, planted)
    result = part(frame, "disattenuated")
    inside = (result["low"] <= cosine) & (cosine <= result["high"])
    assert len(result) == 6 * 41 and inside.mean() > 0.9
    assert result["value"].mean() == pytest.approx(cosine, abs=0.05)
    assert part(frame, "signal")["value"].mean() == pytest.approx(cosine * 2 / 3, abs=0.05)
    ceiling = part(frame, "ceiling")["value"]  # mean of length 1 against scatter of length 2 / sqrt(8)
    assert ceiling.mean() == pytest.approx(2 / 3, abs=0.05)
    assert part(frame, "sep")["value"].mean() == pytest.approx(1 - cosine, abs=0.1)
    halves = gradients.disattenuated(
        part(frame, "signal")["value"].mean(),
        ceiling.mean(),
        part(frame, "ceiling", own=True)["value"].mean(),
    )
    assert halves == pytest.approx(result["value"].mean(), abs=0.03)


def test_documents_of_a_group_are_one_observation(tmp_path):
    """Copies of a document tell nothing new: the table is that of the documents without their copies."""
    planted = noisy_gradients(np.random.default_rng(9), 0.4, documents=5)
    own = np.repeat(np.arange(5), (1, 1, 2, 3, 5))
    copied = {domain: values[:, own] for domain, values in planted.items()}
    frame = measure(tmp_path / "copied", copied, names=np.stack([own, own + 5]))
    assert set(frame["n"]) == {24} and set(frame["groups"]) == {10} and frame["trusted"].all()
    once = measure(tmp_path / "once", planted)
    assert set(once["n"]) == {10} and set(once["groups"]) == {10}
    pd.testing.assert_frame_equal(frame.drop(columns="n"), once.drop(columns="n"), rtol=1e-6, atol=1e-9)
    alone = measure(tmp_path / "alone", copied)
    apart = [part(table, "disattenuated", kind="all")["value"].mean() for table in (alone, once)]
    assert apart[0] < apart[1], "pairs of copies make a mean look longer than it is"


def test_few_groups_have_a_value_and_no_interval(tmp_path):
    planted = noisy_gradients(np.random.default_rng(10), 0.5)
    names = np.repeat([[0], [1]], 8, axis=1)
    frame = measure(tmp_path, planted, names=names)
    assert set(frame["groups"]) == {2} and not frame["trusted"].any()
    assert np.isfinite(part(frame, "signal")["value"]).all()
    assert part(frame, "disattenuated")[["low", "high"]].isna().all(axis=None)
    assert part(frame, "signal", "subspace")["value"].isna().all()


def test_labels_that_mean_nothing_give_sep_near_zero_and_no_signal_below_the_deals(tmp_path):
    pool = noisy_gradients(np.random.default_rng(2), 1.0, modules=40, noise=1.5)
    frame = measure(tmp_path, pool)
    assert part(frame, "sep")["value"].mean() == pytest.approx(0, abs=0.03)
    assert part(frame, "disattenuated")["value"].mean() == pytest.approx(1, abs=0.03)
    for measured in ("cosine", "subspace", "angle"):
        signal, dealt = part(frame, "signal", measured), part(frame, "permuted", measured)
        value = signal["value"].to_numpy()
        inside = (dealt["low"].to_numpy() <= value) & (value <= dealt["high"].to_numpy())
        assert 0.85 < inside.mean() <= 1, measured
    other = measure(tmp_path, noisy_gradients(np.random.default_rng(2), 0.0, modules=40, noise=1.5))
    assert (part(other, "signal")["value"].to_numpy() < part(other, "permuted")["low"].to_numpy()).all()


def test_nulls_are_those_of_the_sketch_and_of_the_scatter(tmp_path):
    """Without a mean, the raw cosine is that of random directions."""
    random = np.random.default_rng(3)
    planted = {domain: random.normal(size=(2, 8, 60, 64)) for domain in DOMAINS}
    frame = measure(tmp_path, planted)
    single = frame[frame["layer"] >= 0]
    floors = part(single, "floor")["value"]
    assert (part(single, "floor")["d"] == 64).all() and floors.to_numpy() == pytest.approx(
        gradients.random_cosine(64)
    )
    assert (part(frame, "floor", kind="all")["d"] == 60 * 64).all()
    assert part(single, "d_eff")["value"].median() == pytest.approx(64, rel=0.2)
    assert part(single, "floor_d_eff")["value"].median() == pytest.approx(
        gradients.random_cosine(64), rel=0.1
    )
    one_pairing = np.abs(part(single, "ceiling", own=True)["value"]).mean()
    assert one_pairing == pytest.approx(gradients.random_cosine(64), rel=0.2)
    assert part(single, "disattenuated")["value"].isna().mean() > 0.5, "nothing can be told of noise"


def test_planted_directions(tmp_path):
    """Documents of a domain span 4 directions, 2 of which two domains share."""
    random = np.random.default_rng(4)
    basis = np.linalg.qr(random.normal(size=(64, 6)))[0].T
    planted = {
        domain: random.normal(size=(2, 8, 1, 4)) @ basis[index]
        for domain, index in {"code": [0, 1, 2, 3], "math": [0, 1, 4, 5]}.items()
    }
    frame = measure(tmp_path, planted, k=(4,))
    assert part(frame, "ceiling", "subspace")["value"].to_numpy() == pytest.approx(1)
    assert part(frame, "signal", "subspace")["value"].to_numpy() == pytest.approx(0.5)
    assert part(frame, "signal", "angle")["value"].to_numpy() == pytest.approx(np.pi / 4)
    assert part(frame, "floor", "subspace")["value"].to_numpy() == pytest.approx(4 / 64)
    assert part(frame, "sep", "subspace")["value"].to_numpy() == pytest.approx(0.5 / (1 - 4 / 64))


def test_sketch_error_is_how_far_sketches_of_the_same_gradients_scatter(tmp_path):
    random = np.random.default_rng(5)
    rank, dim, rows, width = 8, 128, 24, 20
    means = random.normal(size=(2, rows, 3)) @ random.normal(size=(2, 3, width))
    means[1] += means[0]
    exact = means[:, None] + 0.3 * random.normal(size=(2, 8, rows, width))
    names = [str(number) for number in range(80)]
    import torch

    sketched = np.empty((2, 8, len(names), dim))
    for i, name in enumerate(names):  # one gradient, sketched as if it were that of many weights
        a = gradient_sketches.projection(name, (rank, width), rank)
        sketch = gradient_sketches.Sketch(name, rows, rank, dim)
        for place in np.ndindex(2, 8):
            sketched[(*place, i)] = sketch((torch.tensor(exact[place], dtype=torch.float32) @ a.T)[None])
    planted = {name: sketched[i].reshape(2, 4, len(names), dim) for i, name in enumerate(("code", "math"))}
    frame = measure(tmp_path, planted, columns=rank)
    each = frame[frame["layer"] >= 0]
    scatter = part(each, "disattenuated")["value"].std()
    reported = np.sqrt((part(each, "sketch_error")["value"] ** 2).mean())
    assert 0.7 < reported / scatter < 1.4
    truth = gradients.cosine(*(x.reshape(8, -1).mean(0) for x in exact))
    inside = (part(each, "disattenuated")["low"] <= truth) & (truth <= part(each, "disattenuated")["high"])
    assert inside.mean() > 0.9
    whole = part(frame, "disattenuated", kind="all").iloc[0]
    assert whole["value"] == pytest.approx(truth, abs=0.05)
    assert part(frame, "sketch_error", kind="all")["value"].iloc[0] < reported / 4


def test_a_layer_of_zeros_is_nan_and_leaves_the_others_alone(tmp_path):
    planted = noisy_gradients(np.random.default_rng(6), 0.5)
    whole = measure(tmp_path, planted)
    for values in planted.values():
        values[:, :, 0] = 0
    frame = measure(tmp_path, planted)
    dead = (frame["layer"] == 0) & (frame["kind"] == "attention") & ~frame["quantity"].str.startswith("floor")
    assert frame[dead & (frame["quantity"] != "floor_d_eff")]["value"].isna().all()
    others = frame["layer"].gt(-1) & ~((frame["layer"] == 0) & (frame["kind"] == "attention"))
    pd.testing.assert_frame_equal(frame[others], whole[others])


def test_every_row_says_what_it_is(tmp_path):
    frame = measure(tmp_path, noisy_gradients(np.random.default_rng(7), 0.5))
    assert list(frame.columns) == list(load("probes", "gradient_overlap").COLUMNS)
    assert (frame["n"] == 16).all() and set(frame["unit"]) == {"1", "radians", "dimensions"}
    assert not frame.duplicated(["layer", "kind", "domain_a", "domain_b", "measure", "k", "quantity"]).any()
    assert set(zip(frame["layer"], frame["kind"])) == {
        *((layer, kind) for layer in (0, 1) for kind in ("attention", "ffn")), (-1, "all")
    }  # fmt: skip
    result = part(frame, "disattenuated")
    assert ((result["low"] <= result["value"]) & (result["value"] <= result["high"])).all()


def test_stores_that_do_not_fit_are_one_line(tmp_path):
    planted = noisy_gradients(np.random.default_rng(8), 0.5)
    with pytest.raises(InputError, match=r"nano\.base\.math.*another number of documents"):
        measure(tmp_path, planted | {"math": planted["math"][:, :6]})
    with pytest.raises(InputError, match="or other weights"):
        measure(tmp_path, planted | {"math": planted["math"][:, :, :2]})
    with pytest.raises(InputError, match="8 documents in a half are too few for 9 directions"):
        measure(tmp_path, planted, k=(9,))
    with pytest.raises(InputError, match="1 documents in a half are too few for 2"):
        measure(tmp_path, {domain: x[:, :1] for domain, x in planted.items()}, k=(1,))
    with pytest.raises(InputError, match=r"^k: found .*2\.5.*, allowed: list of integers >= 1"):
        measure(tmp_path, planted, k=(2.5,))
    planted["code"][0, 1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"nano\.base\.code.*not finite"):
        measure(tmp_path, planted)


def test_table_of_stores(tmp_path):
    """Through the script: the same bytes again; damaged stores and those of others are refused."""
    planted = noisy_gradients(np.random.default_rng(9), 0.5)
    stores = [str(write_gradients(tmp_path / f"{d}.zarr", x, d)) for d, x in planted.items()]
    for name in ("one", "two"):
        probe_table(str(tmp_path / f"{name}.csv"), probe="gradient_overlap", options=QUICK, gradients=stores)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    frame = read_table(tmp_path / "one.csv")
    assert set(frame["model"]) == {"nano"} and set(frame["checkpoint"]) == {"base"}
    other = write_gradients(tmp_path / "other/math.zarr", planted["math"], "math", model_sha256="t")
    with pytest.raises(InputError, match="measured on other weights than the store of code"):
        mixed = [stores[0], str(other)]
        probe_table(str(tmp_path / "x.csv"), probe="gradient_overlap", options=QUICK, gradients=mixed)
    chunk = next(path for path in (tmp_path / "math.zarr/sketch").rglob("*") if path.name == "0")
    shutil.rmtree(chunk.parent) if chunk.is_dir() else chunk.unlink()
    with pytest.raises(InputError, match="damaged"):
        probe_table(str(tmp_path / "x.csv"), probe="gradient_overlap", options=QUICK, gradients=stores)
    assert not (tmp_path / "x.csv").exists()


# Sources of a domain


def test_gradients_of_sources_that_point_the_same_way_and_not(tmp_path):
    """code's two sources have one mean gradient; math's have two, at a right angle."""
    names = ("x", "y", "z")
    x, y, z = noisy_gradients(
        np.random.default_rng(5), 0.0, 16, modules=20, noise=2.0, domains=names
    ).values()
    planted = {"code": x, "math": np.concatenate([y[:, :8], z[:, :8]], axis=1)}
    sources = {"code": ["a"] * 8 + ["b"] * 8, "math": ["c"] * 8 + ["d"] * 8}
    result = measure(tmp_path, planted, sources=sources)
    own, other = (pairs.of_sources(result, one) for one in (True, False))
    assert set(own["measure"]) == set(other["measure"]) == {"cosine"}
    assert {"signal", "ceiling", "sep", "floor_d_eff", "permuted", "sketch_error"} <= set(own["quantity"])
    means = part(own, "disattenuated", own=True)
    for domain, truth in (("code", 1), ("math", 0)):
        rows = means[means["domain_a"] == domain]
        assert len(rows) == 21 and rows["value"].mean() == pytest.approx(truth, abs=0.06)
        assert ((rows["low"] <= truth) & (truth <= rows["high"])).mean() > 0.85
    apart = part(other, "disattenuated")
    assert len(apart[PAIR].drop_duplicates()) == 4 and abs(apart["value"].mean()) < 0.06
    assert set(own["n"]) == {16} and set(own["groups"]) == {16} and own["trusted"].all()
    alone = measure(tmp_path / "alone", planted)
    domains = pairs.of_domains(result).reset_index(drop=True)
    assert (alone["source_a"] == "").all() and (alone["source_b"] == "").all()
    pd.testing.assert_frame_equal(domains, alone, rtol=1e-6, atol=1e-9)


def test_a_group_of_two_sources_counts_for_neither(tmp_path):
    x, y = noisy_gradients(np.random.default_rng(6), 0.0, 8, modules=2, domains=("x", "y")).values()
    planted, sources = {"code": x, "math": y}, {"code": ["a"] * 3 + ["b"] * 5, "math": ["c"] * 8}
    groups = [[0, 1, 2, 2, 3, 4, 5, 5]] * 2  # the third document of a and the first of b are one group
    result = measure(tmp_path, planted, names=groups, sources=sources)
    own = pairs.of_sources(result, True)
    assert {tuple(row) for row in own[PAIR].to_numpy()} == {("code", "a", "code", "b")}
    assert set(own["n"]) == {4} and set(own["groups"]) == {4} and not own["trusted"].any()
    assert pairs.of_sources(result, False).empty, "math has one source"
    few = measure(tmp_path / "few", planted, sources=sources | {"code": ["a"] + ["b"] * 7})
    few = part(pairs.of_sources(few, True), "disattenuated", own=True)
    assert set(few["groups"]) == {2} and few[["low", "high"]].isna().all(axis=None)
