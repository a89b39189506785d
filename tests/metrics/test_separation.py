"""SEP over planted documents: its intervals cover the truth, and without a difference there is none."""

from functools import cache

import numpy as np
import planted
import pytest

from implicit_sparsity.metrics import inference, intervals, overlap, separation

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


def documents(rng, own=0.7, spread=0.8, topics=0.5, tokens=(40, 128), sizes=(1,) * G, apart=False):
    """Two domains' two halves: each document sums a neuron's mean use times its own noise and topic.

    sizes: documents of each group, whose noise and topics have an intraclass correlation of 0.9. apart: every
    document is given as a group of its own.
    """
    fixed = np.random.default_rng(99)
    names = np.repeat(np.arange(len(sizes)), sizes)
    inside = np.eye(len(sizes))[:, names]  # [groups, documents]
    hubs, loadings = fixed.normal(size=N), fixed.normal(size=(3, N)) / 2
    result = {}
    for domain in ("x", "y"):
        use = hubs + own * fixed.normal(size=N)
        result[domain] = []
        for _ in "ab":
            alone, topic = (planted.clustered(rng, names, 0.9, (n,)) for n in (N, 3))
            noise = spread * alone + topics * topic @ loadings
            counts = rng.integers(*tokens, size=(inside.shape[1], 1))
            sums = np.exp(use + noise) * counts
            score = sums.sum(0) / counts.sum()
            add = np.eye(len(counts)) if apart else inside
            result[domain].append(separation.Half(score, add @ sums, add @ counts))
    return result


def each(halves, draws):
    """(measure, quantity, value, low, high) of everything that two domains are compared by."""
    layer = separation.Layer(halves, draws)
    for name, measure in MEASURES.items():
        parts = dict_of(layer, measure)
        yield from ((name, quantity, *three) for quantity, three in parts.items())


@cache
def true(own, fresh, sizes):
    """{(measure, quantity): mean over fresh documents}."""
    values = {}
    for seed in range(fresh):  # without groups, so that no interval is worked out
        halves = documents(np.random.default_rng([1, seed]), own, sizes=sizes)
        plain = {d: [separation.Half(half.score) for half in pair] for d, pair in halves.items()}
        for name, quantity, value, _, _ in each(plain, 8):
            values.setdefault((name, quantity), []).append(value)
    return {key: np.mean(value) for key, value in values.items()}


@cache
def covered(own, seeds=250, fresh=600, sizes=(1,) * G, apart=False):
    """``true`` and {(measure, quantity): share of seeds whose interval holds that}."""
    truth, hits = true(own, fresh, sizes), {}
    for seed in range(seeds):
        halves = documents(np.random.default_rng([2, seed]), own, sizes=sizes, apart=apart)
        for name, quantity, _, low, high in each(halves, 48):
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


@pytest.mark.parametrize("quantity", ["signal", "ceiling", "sep"])
@pytest.mark.parametrize("sizes", [(3,) * 10, (1, 2, 3, 6) * 3], ids=["10 groups", "12 unequal groups"])
def test_intervals_cover_where_documents_of_a_group_are_nearly_one(sizes, quantity):
    """Groups of documents add up to one part each. By documents fewer are covered: of signal, 72 to 88 %."""
    _, hits = covered(0.7, 200, 300, sizes)
    _, alone = covered(0.7, 200, 300, sizes, apart=True)
    for measure in MEASURES:
        if (measure, quantity) in hits:
            assert alone[measure, quantity] < (0.9 if quantity == "signal" else hits[measure, quantity])
            wide = 1.0 if measure != "iou" or quantity == "ceiling" else 0.99
            assert 0.9 <= hits[measure, quantity] <= wide, (measure, hits[measure, quantity])


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
