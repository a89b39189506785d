"""Groups to splits, whole: documents enough, and groups as many as a corpus has, by construction."""

import random

import pytest

from implicit_sparsity.corpora.dealing import EVAL_MARGIN, deal

SIZES = {"train": 256, "probe_a": 64, "probe_b": 64, "select": 32, "eval": 48}
SMALL = [name for name in SIZES if name != "train"]


def documents(dealt, groups) -> dict:
    return {name: sum(groups[group] for group in members) for name, members in dealt.items()}


@pytest.mark.parametrize("seed", range(5))
def test_every_group_goes_to_one_split_that_has_documents(seed):
    groups = {f"g{i}": 1 + i % 5 for i in range(30)}
    dealt = deal(groups, {"train": 10, "probe_a": 0, "eval": 5}, seed)
    assert sorted(g for result in dealt.values() for g in result) == sorted(groups) and dealt["probe_a"] == []
    assert deal(dict(reversed(groups.items())), {"train": 10, "probe_a": 0, "eval": 5}, seed) == dealt


def test_groups_of_like_size_go_by_seed_in_proportion():
    """Groups are plenty: what training gets is what its size asks for, and other seeds give other groups."""
    groups = {f"g{i}": 2 for i in range(400)}
    dealt, other = deal(groups, SIZES, 0), deal(groups, SIZES, 1)
    share = len(groups) / sum(n * (EVAL_MARGIN if name == "eval" else 1) for name, n in SIZES.items())
    for name, size in SIZES.items():
        expected = size * share * (EVAL_MARGIN if name == "eval" else 1)
        assert abs(len(dealt[name]) - expected) <= 2
    assert dealt != other


@pytest.mark.parametrize("seed", range(8))
def test_small_splits_have_many_small_groups_where_few_are_large(seed):
    """Four groups of 80 documents fill training; 60 of 6 are enough for ten groups or more in the others."""
    groups = {f"large{i}": 80 for i in range(4)} | {f"small{i}": 6 for i in range(60)}
    dealt = deal(groups, SIZES, seed)
    held = documents(dealt, groups)
    assert all(held[name] >= size for name, size in SIZES.items())
    assert all(len(dealt[name]) >= 10 for name in SMALL)


@pytest.mark.parametrize("seed", range(8))
def test_training_takes_no_more_groups_than_it_needs_where_they_are_few(seed):
    """22 groups of 23, as templates of one source: at 60 % of the documents training needs 7 of them."""
    groups = {f"g{i}": 23 for i in range(22)}
    sizes = {name: 0.6 * size for name, size in SIZES.items()}
    dealt = deal(groups, sizes, seed)
    held = documents(dealt, groups)
    assert all(held[name] >= size for name, size in sizes.items())
    assert len(dealt["train"]) == 7 and all(3 <= len(dealt[name]) <= 4 for name in SMALL)


def test_documents_come_before_groups():
    """Evaluation wants 30, and only the large groups have them: ten groups of one would leave it short."""
    groups = {"large a": 40, "large b": 40} | {f"g{i}": 1 for i in range(12)}
    dealt = deal(groups, {"train": 40, "eval": 30}, 0)
    held = documents(dealt, groups)
    assert held["train"] >= 40 and held["eval"] >= 30
    assert len([g for g in dealt["eval"] if g.startswith("large")]) == 1


def test_sizes_that_no_dealing_fills_are_shared_in_proportion():
    rng = random.Random(0)
    groups = {f"g{i}": rng.randint(1, 3) for i in range(60)}
    held = documents(deal(groups, SIZES, 0), groups)
    total, wanted = sum(groups.values()), sum(SIZES.values())
    assert all(abs(held[name] - size * total / wanted) <= 8 for name, size in SIZES.items())
