"""Copies, exact and near, and the similarity that finds them."""

from collections import Counter

from corpora_samples import record

from implicit_sparsity.corpora.dedupe import signatures, similarity, unique


def test_exact_and_near_duplicates():
    originals = [record(i, n_words=60) for i in range(20)]
    exact = [
        r | {"id": f"copy {i}", "prompt": r["prompt"].upper() + " "} for i, r in enumerate(originals[:4])
    ]
    near = [
        r | {"id": f"near {i}", "prompt": r["prompt"].replace(r["prompt"].split()[5], "other", 1)}
        for i, r in enumerate(originals[4:9])
    ]
    retained, dropped = unique(originals + exact + near, 0.8)
    assert retained == originals
    assert Counter(d.reason for d in dropped) == {"exact duplicate": 4, "near duplicate": 5}
    assert len(unique(originals + exact + near, 1.0)[0]) == 25  # 1: exact ones only


def test_estimated_similarity_is_near_the_true_one():
    base = [f"w{i}" for i in range(200)]
    other = base[:100] + [f"v{i}" for i in range(100)]
    shared, union = 98, 198 + 198 - 98  # shingles of three words
    estimate = similarity(signatures([base]), signatures([other, base]))[0]
    assert abs(estimate[0] - shared / union) < 0.12 and estimate[1] == 1
