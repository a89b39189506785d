"""Drift of states that were moved by what is known: found, and within the interval as often as it says."""

import numpy as np
import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.metrics import drift, intervals, spectra

OWNER = np.repeat(np.arange(8), 4)


def states(random, documents=8, positions=4, width=24, topic=0.7, strong=3.0):
    """Positions [n, H] that share part of their document; leading directions stand out."""
    spectrum = np.where(np.arange(width) < 3, strong, 0.3)
    x = topic * random.standard_normal((documents, 1, width)) + random.standard_normal(
        (documents, positions, width)
    )
    return (spectrum * x).reshape(-1, width)


def value(result):
    return {name: values[0] for name, values in result.items()}


def test_nothing_moved():
    x = states(np.random.default_rng(0))
    result = value(drift.moved(x, x.copy(), OWNER, 3))
    assert result["relative_l2"] == 0 and result["drift_excess"] == 0 and result["largest_angle"] < 1e-7
    assert [result[name] for name in ("cosine", "cka", "cka_positions")] == pytest.approx(
        [1, 1, 1], abs=1e-12
    )


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_scale_is_distance_alone(factor):
    x = states(np.random.default_rng(1))
    result = value(drift.moved(x, factor * x, OWNER, 3))
    assert result["relative_l2"] == pytest.approx(abs(factor - 1))
    assert result["cosine"] == pytest.approx(1) and result["cka"] == pytest.approx(1)
    assert result["drift_excess"] == pytest.approx(0, abs=1e-12) and result["largest_angle"] < 1e-6


def test_a_rotation_is_no_change_of_geometry():
    random = np.random.default_rng(2)
    x, turn = states(random), np.linalg.qr(random.standard_normal((24, 24)))[0]
    result = value(drift.moved(x, x @ turn, OWNER, 3))
    assert result["cka"] == pytest.approx(1) and result["cka_positions"] == pytest.approx(1)
    assert result["cosine"] < 0.9 and result["mean_angle"] > 0.3


@pytest.mark.parametrize("angle", [1e-4, 0.3, 1.2])
def test_planted_angle_and_the_energy_that_goes_with_it(angle):
    """Three directions hold all; one of them is turned by ``angle`` into a fourth."""
    random = np.random.default_rng(3)
    basis = np.linalg.qr(random.standard_normal((24, 4)))[0].T
    scores = np.linalg.qr(random.standard_normal((32, 3)))[0] * [3.0, 2.0, 1.0]
    other = np.vstack([basis[:2], np.cos(angle) * basis[2] + np.sin(angle) * basis[3]])
    result = value(drift.moved(scores @ basis[:3], scores @ other, OWNER, 3))
    assert result["largest_angle"] == pytest.approx(angle, rel=1e-5)
    assert result["mean_angle"] == pytest.approx(angle / 3, rel=1e-5)
    assert result["drift_energy"] == pytest.approx(np.sin(angle) ** 2 / 14, rel=1e-5, abs=1e-12)


def test_left_out_is_what_is_found_without_the_document():
    """Exactly, for subspaces too: here all directions are among those kept."""
    random = np.random.default_rng(4)
    x = states(random, width=10)
    y = x + 0.4 * states(random, width=10)
    result = drift.moved(x, y, OWNER, 3)
    for document in (0, 5):
        rest = document != OWNER
        alone = value(drift.moved(x[rest], y[rest], np.unique(OWNER[rest], return_inverse=True)[1], 3))
        for name in set(drift.MEASURES) - {"cka_positions"}:
            assert result[name][1 + document] == pytest.approx(alone[name], rel=1e-9), name


def test_groups_cka_is_the_usual_one_with_one_position_a_document():
    random = np.random.default_rng(5)
    x, y = random.standard_normal((2, 12, 30)) + random.standard_normal((12, 30))
    result = drift.groups_cka(x + 7, y, np.arange(12))
    assert result[0] == pytest.approx(spectra.linear_cka(x, y))
    without = [spectra.linear_cka(*(np.delete(z, d, 0) for z in (x, y))) for d in range(12)]
    assert result[1:] == pytest.approx(without)
    uneven = np.array([0, 0, 0, 1, 2, 2, 3, 4, 5, 5, 5, 5])
    assert drift.groups_cka(x + 7, y, uneven) == pytest.approx(drift.groups_cka(x, y, uneven))


def test_related_positions_of_unrelated_states_are_no_similarity():
    """Documents with topics of their own in either network: debiased over positions, CKA sees some."""
    random, result = np.random.default_rng(6), []
    for _ in range(150):
        x, y = (states(random, topic=3.0) for _ in range(2))
        pair = value(drift.moved(x, y, OWNER, 3))
        result.append([pair["cka"], pair["cka_positions"]])
    (mine, usual), error = np.nanmean(result, axis=0), np.nanstd(result, axis=0) / 150**0.5
    assert mine == pytest.approx(0, abs=4 * error[0])
    assert usual > 0.05 and usual > 8 * error[1]


def test_the_null_is_every_position_against_those_of_other_documents():
    random = np.random.default_rng(7)
    x, y, alone = states(random) + 1.5, states(random) + 1.5, np.arange(32)
    rolled = [value(drift.moved(x, np.roll(y, r, axis=0), alone, 3)) for r in range(1, 32)]
    null = drift.unrelated(x, y, alone, 3)
    assert null["cosine"] == pytest.approx(np.mean([row["cosine"] for row in rolled]))
    assert null["relative_l2"] ** 2 == pytest.approx(np.mean([row["relative_l2"] ** 2 for row in rolled]))
    assert abs(np.mean([row["cka"] for row in rolled])) < 0.05
    related = y + 5 * np.repeat(np.random.default_rng(8).standard_normal((8, 24)), 4, axis=0)
    assert drift.unrelated(related, related, OWNER, 3)["cosine"] < 0.2, "positions of one document count"


def test_null_of_subspaces_is_that_of_random_ones():
    random = np.random.default_rng(8)
    x, y = random.standard_normal((2, 64, 40))
    null = drift.unrelated(x, y, np.repeat(np.arange(16), 4), 2)
    assert null["drift_energy"] == 1 - 2 / 40
    assert 1.2 < null["mean_angle"] < null["largest_angle"] < np.pi / 2
    assert np.isnan(drift.random_angles(3, 4)).all()


def planted(random, documents, noise=0.3, heavy=0.0):
    """(old, new): a fixed map of the states, and noise of documents and positions; lengths may be uneven."""
    x, e = (states(random, documents, strong=1.0) for _ in range(2))
    lengths = np.exp(heavy * random.standard_normal((2, documents))).repeat(4, axis=1)[..., None]
    turn = np.eye(24) + 0.05 * np.random.default_rng(0).standard_normal((24, 24))
    return lengths[0] * x, lengths[0] * x @ turn + noise * lengths[1] * e


@pytest.mark.parametrize("documents, heavy", [(16, 0.0), (32, 0.2)])
def test_intervals_cover_the_planted_drift(documents, heavy):
    """Of 400 draws; the truth is the mean at this budget, and for the first three that of any budget."""
    random, owner = np.random.default_rng(9), np.repeat(np.arange(documents), 4)
    result = [drift.moved(*planted(random, documents, heavy=heavy), owner, 3) for _ in range(400)]
    large = np.repeat(np.arange(40), 4)
    truths = [value(drift.moved(*planted(random, 40, heavy=heavy), large, 3)) for _ in range(40)]
    for name, (_, scale) in drift.MEASURES.items():
        if name == "cka_positions":
            continue
        values = np.array([each[name] for each in result])
        low, high = intervals.jackknife_interval(values, scale)
        covered = np.mean((low <= values[:, 0].mean()) & (values[:, 0].mean() <= high))
        assert 0.92 <= covered <= (0.98 if "angle" not in name and "drift" not in name else 1), name
        if name in ("relative_l2", "cosine", "cka"):
            truth = np.mean([each[name] for each in truths])
            assert 0.92 <= np.mean((low <= truth) & (truth <= high)) <= 0.98, name


def test_what_is_undefined_is_nan_and_what_is_wrong_is_one_line():
    x = states(np.random.default_rng(11))
    zeros = value(drift.moved(np.zeros_like(x), np.zeros_like(x), OWNER, 3))
    assert np.isnan(list(zeros.values())).all()
    assert np.isnan(list(drift.unrelated(np.zeros_like(x), np.zeros_like(x), OWNER, 3).values())).sum() >= 2
    gone = value(drift.moved(x, np.zeros_like(x), OWNER, 3))
    assert gone["relative_l2"] == 1 and np.isnan(gone["cosine"]) and np.isnan(gone["cka"])
    flat = value(drift.moved(x[:, :2], x[:, :2], OWNER, 3))
    assert np.isnan(flat["mean_angle"]) and np.isnan(flat["drift_energy"]) and flat["relative_l2"] == 0
    few = drift.moved(x[:12], x[:12] + 1, OWNER[:12], 2)
    assert np.isnan(few["cka"]).all() and np.isnan(intervals.jackknife_interval(few["relative_l2"])).all()
    for bad in (np.nan, np.inf):
        broken = x.copy()
        broken[3, 3] = bad
        with pytest.raises(InputError, match="not finite"):
            drift.moved(x, broken, OWNER, 3)
