"""Intervals over documents, on planted documents: they cover what they estimate, and the null gives null."""

from functools import cache

import numpy as np
import pytest

from implicit_sparsity.metrics import hub_floor, inference, intervals, overlap, separation
from implicit_sparsity.probes.routing_overlap import _specialised

N, K, G = 400, 40, 24
MEASURES = {
    "iou": separation.iou(0.1, K, N),
    "spearman": separation.Measure(
        "spearman", 0, N, inference.correlation, inference.ranks, floors={"floor": 0.0}
    ),
    "weighted_jaccard": separation.Measure(
        "weighted_jaccard", 0, N, overlap.weighted_jaccard, floors={"floor": overlap.chance_weighted_jaccard}
    ),
    "jensen_shannon_bits": separation.Measure(
        "jensen_shannon_bits", 0, N, overlap.jensen_shannon_bits, sign=-1
    ),
}


def documents(rng, own=0.7, spread=0.8, topics=0.5, tokens=(40, 128)):
    """Two domains' two halves: each document sums a neuron's mean use times its own noise and topic."""
    planted = np.random.default_rng(99)
    hubs, loadings = planted.normal(size=N), planted.normal(size=(3, N)) / 2
    result = {}
    for domain in ("x", "y"):
        use = hubs + own * planted.normal(size=N)
        result[domain] = []
        for _ in "ab":
            noise = spread * rng.standard_normal((G, N)) + topics * rng.standard_normal((G, 3)) @ loadings
            counts = rng.integers(*tokens, size=(G, 1))
            sums = np.exp(use + noise) * counts
            score = sums.sum(0) / counts.sum()
            result[domain].append(separation.Half(score, sums, counts))
    return result


@cache
def covered(own, seeds=250, fresh=600):
    """{(measure, quantity): share of seeds whose interval holds the mean over fresh documents}."""
    values, hits = {}, {}

    def each(halves, draws):
        layer = separation.Layer(halves, draws)
        for name, measure in MEASURES.items():
            for a, b, parts in separation.compared(layer, measure):
                if a != b:
                    yield from ((name, quantity, *three) for quantity, three in parts.items())

    for seed in range(fresh):  # without groups, so that no interval is worked out
        halves = documents(np.random.default_rng([1, seed]), own)
        plain = {d: [separation.Half(half.score) for half in pair] for d, pair in halves.items()}
        for name, quantity, value, _, _ in each(plain, 8):
            values.setdefault((name, quantity), []).append(value)
    truth = {key: np.mean(value) for key, value in values.items()}
    for seed in range(seeds):
        for name, quantity, _, low, high in each(documents(np.random.default_rng([2, seed]), own), 48):
            if (name, quantity) in truth and "floor" not in quantity:
                hits.setdefault((name, quantity), []).append(low <= truth[name, quantity] <= high)
    return truth, {key: np.mean(hit) for key, hit in hits.items()}


@pytest.mark.parametrize("quantity", ["signal", "ceiling", "sep"])
@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_cover_the_truth(measure, quantity):
    """In 92 to 98 % of 250 draws. The ceilings of smooth measures, and what hangs on them, may be wide:
    noise enters them squared, which every jackknife counts more than once."""
    truth, hits = covered(own=0.7)
    if (measure, quantity) not in hits:
        assert measure == "jensen_shannon_bits" and quantity == "sep"  # it has no floor
        return
    assert truth["iou", "signal"] < truth["iou", "ceiling"] - 0.1, "the domains differ"
    squared = measure != "iou" and quantity != "signal"
    assert 0.92 <= hits[measure, quantity] <= (1.0 if squared else 0.98), hits[measure, quantity]


def test_domains_that_do_not_differ_have_no_separation():
    """One domain under two names: SEP holds 0 as often as it says, and the null is about 0."""
    inside, null, seeds = 0, [], 200
    for seed in range(seeds):
        rng = np.random.default_rng([3, seed])
        first, second = documents(rng)["x"], documents(rng)["x"]
        result = dict_of(separation.Layer({"x": first, "y": second}, 48), MEASURES["iou"])
        inside += result["sep"][1] <= 0 <= result["sep"][2]
        null.append(result["sep_permuted"][0])
    assert 0.92 <= inside / seeds <= 0.99 and abs(np.mean(null)) < 0.01


def test_shuffled_labels_have_no_separation_where_true_ones_have():
    result = dict_of(separation.Layer(documents(np.random.default_rng(0)), 200), MEASURES["iou"])
    assert result["sep"][0] > 0.4 and result["sep"][1] > result["sep_permuted"][2]
    assert result["sep_permuted"][1] < 0 < result["sep_permuted"][2] and abs(result["sep_permuted"][0]) < 0.03
    assert result["permuted"][0] > result["signal"][2], "mixed domains overlap more than the domains do"


def dict_of(layer, measure):
    return next(parts for a, b, parts in separation.compared(layer, measure) if a != b)


def test_the_interval_of_a_mean_is_students():
    x = np.random.default_rng(0).normal(size=(40, 3))
    counts = np.ones((40, 1))
    value, low, high = intervals.smooth_interval(lambda s: s[0] / s[1], (x, counts), draws=4000)
    np.testing.assert_allclose(value, x.mean(0))
    error = x.std(0, ddof=1) / 40**0.5 * 2.0227  # t(39)
    np.testing.assert_allclose((high - low) / 2, error, rtol=0.06)
    half = intervals.half_samples(40, 4000)
    assert set(half.sum(1)) == {20}
    drawn = intervals.half_sample_variance(half @ x / 20, 40)
    np.testing.assert_allclose(drawn, x.var(0, ddof=1) / 40, rtol=0.1)


def test_groups_without_documents_do_not_count():
    x = np.random.default_rng(0).random((12, 5))
    padded = np.concatenate([x, np.zeros((4, 5))])
    plain, more = (intervals.smooth_interval(lambda s: s.mean(-1), y) for y in (x, padded))
    assert plain == more
    half = separation.Half(padded.sum(0), padded, np.r_[np.ones(12), np.zeros(4)][:, None])
    assert half.groups == 12


def test_too_few_groups_have_a_value_and_no_interval():
    rng = np.random.default_rng(0)
    halves = {
        d: [separation.Half(rng.random(20), rng.random((3, 20)), np.ones((3, 1))) for _ in "ab"] for d in "xy"
    }
    result = dict_of(separation.Layer(halves, 48), separation.iou(5, 5, 20))
    assert 0 <= result["signal"][0] <= 1 and np.isnan(result["signal"][1:]).all()
    assert "permuted" not in result
    value, low, high = intervals.smooth_interval(np.mean, rng.random((3, 2)))
    assert np.isfinite(value) and np.isnan([low, high]).all()


def test_ranks_and_their_correlation():
    from scipy.stats import rankdata, spearmanr

    x, y = np.random.default_rng(0).normal(size=(2, 6, 30))
    tied = np.round(x)
    for values in (x, tied):
        np.testing.assert_array_equal(inference.ranks(values), rankdata(values, axis=-1) - 1)
    by_rank = inference.correlation(inference.ranks(tied[0]), inference.ranks(y[0]))
    assert by_rank == pytest.approx(spearmanr(tied[0], y[0]).statistic)
    with np.errstate(all="ignore"):
        assert np.isnan(inference.correlation(np.ones(5), np.arange(5)))


@pytest.mark.parametrize(
    ("n", "k", "spread", "error"), [(1536, 15, 1.0, 0.01), (400, 40, 2.0, 0.01), (64, 6, 1.0, 0.025)]
)
def test_the_floor_of_hubs_is_that_of_random_draws(n, k, spread, error):
    """Against sets drawn one by one in proportion to use; equal use is plain chance."""
    rng = np.random.default_rng(0)
    use = rng.lognormal(0, spread, n)
    sets = overlap.top_k_sets(np.log(use) + rng.gumbel(size=(3000, n)), k).astype(np.float32)
    both = (sets @ sets.T)[np.triu_indices(3000, 1)]
    drawn = (both / (2 * k - both)).mean()
    assert hub_floor.hub_matched_iou(use, k) == pytest.approx(drawn, rel=error + 0.01)  # the draws' own error
    assert hub_floor.hub_matched_iou(np.ones(n), k) == pytest.approx(overlap.chance_iou(n, k), rel=0.01)
    assert hub_floor.hub_matched_iou(use, k) > overlap.chance_iou(n, k)
    assert np.isnan(hub_floor.hub_matched_iou(np.eye(n)[0], 2))


def test_chance_of_weighted_jaccard_is_that_of_every_order():
    rng = np.random.default_rng(0)
    p, q = rng.random((2, 3, 20))
    q[:, :5] = p[:, 3:8]  # ties
    a, b = p[..., :, None], q[..., None, :]
    expected = np.minimum(a, b).sum((-2, -1)) / np.maximum(a, b).sum((-2, -1))
    np.testing.assert_allclose(overlap.chance_weighted_jaccard(p, q), expected)


def test_specialisation_of_experts_is_covered():
    """Two domains' routing by documents: intervals of all that is told of a domain and of both."""
    planted = np.random.default_rng(7).dirichlet(np.ones(16) * 2, 2)
    names = ["max", "share", "effective"] * 2 + ["information"]

    def drawn(rng):
        shares = [rng.dirichlet(40 * planted[d], 24) for d in (0, 0, 1, 1)]
        return [np.stack([rng.multinomial(4 * rng.integers(40, 128), s) for s in half]) for half in shares]

    def reported(*halves):
        return _specialised(*halves, active=4)

    fresh = [reported(*(half.sum(0) for half in drawn(np.random.default_rng([1, i])))) for i in range(800)]
    truth, hits = np.mean(fresh, axis=0), []
    for seed in range(200):
        _, low, high = intervals.smooth_interval(reported, *drawn(np.random.default_rng([2, seed])), draws=96)
        hits.append((low <= truth) & (truth <= high))
    shares = dict(zip(names, np.mean(hits, axis=0)))
    assert all(0.9 <= share <= 0.985 for share in shares.values()), shares
