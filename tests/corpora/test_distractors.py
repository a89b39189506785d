"""Choices from completions of other documents."""

import random

from corpora_samples import SIZES, grouped, record

from implicit_sparsity.corpora.splits import SPLITS, Options, split


def test_distractors():
    records = grouped(random.Random(5))
    records += [record(5000 + i, f"n{i}", "natural", choices=["b", "a"], answer="a") for i in range(60)]
    result = split(records, Options(**SIZES, distractor_chars=45), "d")
    by_length = {True: 0, False: 0}
    for r in result.documents["eval"]:
        if r["source"] == "natural":
            assert r["choices"] == ["b", "a"] and r["correct"] == 1
            continue
        by_length["choices" in r] += 1
        assert ("choices" in r) == (len(r["completion"]) <= 45)
        if "choices" in r:
            assert len(set(r["choices"])) == len(r["choices"]) == 4
            assert r["choices"][r["correct"]] == r["completion"] and "answer" not in r
    assert by_length[True] > 3
    assert not any("correct" in r for name in SPLITS[:4] for r in result.documents[name])
