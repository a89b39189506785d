"""Which parts and groups of a store are a source's own, and how many of them a pair takes."""

import numpy as np
from planted import write_gradients, write_scores

from implicit_sparsity.metrics import source_pairs
from implicit_sparsity.storage.store import open_store


def stores(folder, names):
    """domain -> a store of activations of documents of these sources, 10 tokens each."""
    result = {}
    for domain, given in names.items():
        documents = [(name, np.full((1, 4), 0.5)) for name in given]
        path = write_scores(folder / f"{domain}.zarr", documents, domain, tokens=[10 * len(given)] * 2)
        result[domain] = open_store(path)
    return result


def test_a_pair_takes_of_the_larger_source_as_much_as_the_smaller_has(tmp_path):
    (pair,) = source_pairs.pairs(stores(tmp_path, {"code": "aabaab"}))
    assert (pair.a, pair.b) == (("code", "a"), ("code", "b"))
    assert [list(np.flatnonzero(half)) for half in pair.parts[pair.a]] == [[0, 1], [0, 1]]
    assert [list(np.flatnonzero(half)) for half in pair.parts[pair.b]] == [[2, 5], [2, 5]]
    assert pair.numbers == {"tokens": 20, "n": 8, "groups": 2, "trusted": False}


def test_pairs_are_of_domains_with_two_sources_or_more(tmp_path):
    given = stores(tmp_path, {"code": "ab", "math": "cccc", "medical": ["d", "", "e"], "general": ["", "f"]})
    assert [(pair.a[1], pair.b[1]) for pair in source_pairs.pairs(given)] == [
        ("a", "b"), ("a", "d"), ("a", "e"), ("b", "d"), ("b", "e"), ("d", "e")
    ]  # fmt: skip
    whole = given["code"].drop_vars("group_sum_abs")
    assert source_pairs.pairs({"code": whole, "math": given["math"]}) == []


def test_a_unit_of_gradients_is_of_the_one_source_that_its_documents_have(tmp_path):
    sketches, groups = np.ones((2, 4, 2, 8)), [[7, 8, 8, 9], [7, 8, 9, 9]]
    path = write_gradients(tmp_path / "x.zarr", sketches, "code", names=groups, sources=["a", "a", "b", "b"])
    places = {"code": [np.arange(3), np.arange(3, 6)]}
    units = source_pairs.units_by_source({"code": open_store(path)}, places)
    assert {name: [list(half) for half in halves] for name, halves in units.items()} == {
        ("code", "a"): [[0], [3, 4]],
        ("code", "b"): [[2], [5]],
    }
    plain = open_store(write_gradients(tmp_path / "y.zarr", sketches, "code"))
    assert source_pairs.units_by_source({"code": plain}, places) == {}
