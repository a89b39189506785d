"""Streams of random numbers: fixed for good, apart from each other, small enough for whoever takes them."""

from itertools import product

from implicit_sparsity.randomness import derive_seed, stream_seed


def test_seeds_are_those_of_studies_that_were_made():
    """The first four bytes of sha256("7/order") and ("7:order"), as coreutils' sha256sum has them."""
    assert stream_seed(7, "order") == 0x9E33B9E6 >> 1
    assert derive_seed(7, "order") == 0x94C103BA


def test_neighbouring_seeds_and_streams_share_nothing():
    names = [("order",), ("replay",), ("order", "1"), ("1", "order"), ()]
    for function, limit in ((stream_seed, 2**31), (derive_seed, 2**32)):
        drawn = [function(seed, *which) for seed, which in product(range(200), names)]
        assert len(set(drawn)) == len(drawn) and all(0 <= seed < limit for seed in drawn)
        assert max(drawn) > limit * 0.95 and min(drawn) < limit * 0.05, "the whole range is used"
        assert function(3, "order") == function(3, "order")


def test_a_seed_from_a_config_is_a_number_whatever_its_type():
    assert stream_seed("3", "order") == stream_seed(3, "order") == stream_seed(3.0, "order")
