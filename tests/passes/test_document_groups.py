"""Documents are taken group by group in turn and dealt whole: small cases by hand, large by what holds."""

from types import SimpleNamespace

import numpy as np
import pytest

from implicit_sparsity.passes import document_groups


def documents(names, sources=None):
    pairs = enumerate(zip(names, sources or "s" * len(names), strict=True))
    return [SimpleNamespace(meta={"group": group, "source": source}, i=i) for i, (group, source) in pairs]


def test_groups_take_turns_in_the_order_in_which_they_come():
    taken = document_groups.in_turn(documents("bbabcac"))
    assert document_groups.names(taken) == list("bacbacb")
    assert [d.i for d in taken] == [0, 2, 4, 1, 5, 6, 3]
    again = document_groups.in_turn(taken[:4])
    assert [d.i for d in again] == [0, 2, 4, 1], "the first of them are in turn already"
    assert document_groups.in_turn([]) == []


def test_documents_of_some_content_come_before_all_others():
    def document(group, content):
        parts = np.array([document_groups.CONTENT] * content, np.uint8)
        return SimpleNamespace(meta={"group": group}, parts=parts, content=content)

    fewest = document_groups.FEWEST_CONTENT
    some = [
        document("a", 0),
        document("a", fewest),
        document("b", fewest - 1),
        document("a", 99),
        document("c", 7),
    ]
    ordered = [(each.meta["group"], each.content) for each in document_groups.by_content(some)]
    assert ordered == [("a", fewest), ("c", 7), ("a", 99), ("a", 0), ("b", fewest - 1)]


def test_a_part_a_group_where_there_are_as_many():
    assert document_groups.deal(documents("bab"), [5, 5, 5], 2).tolist() == [0, 1, 0]
    assert document_groups.deal(documents("abc"), [1, 1, 1], 32).tolist() == [0, 1, 2]


def test_the_largest_groups_come_first_each_to_the_emptiest_part():
    """Of 6, 5, 4, 3 tokens in two parts: 6 + 3 and 5 + 4."""
    part = document_groups.deal(documents("abcda"), [2, 3, 6, 5, 2], 2)
    assert [set(np.array(list("abcda"))[part == p]) for p in (0, 1)] == [{"c", "b"}, {"a", "d"}]


@pytest.mark.parametrize("parts", [2, 4, 7, 32])
def test_no_group_is_split_no_part_empty_and_sources_are_apart(parts):
    rng = np.random.default_rng(parts)
    names = [f"{source}{rng.integers(40 if source == 'x' else 12)}" for source in rng.choice(["x", "y"], 300)]
    all_of_them = documents(names, [name[0] for name in names])
    tokens = rng.integers(1, 90, 300)
    part = document_groups.deal(all_of_them, tokens, parts)
    assert set(part) == set(range(min(parts, len(set(names)))))
    for name in set(names):
        assert len({p for p, n in zip(part, names) if n == name}) == 1
    assert set(document_groups.sources(all_of_them, part)) == {"x", "y"}
    filled = np.bincount(part, tokens)
    assert filled.max() < 3 * filled.mean()


def test_a_group_of_two_sources_stays_whole_and_has_none():
    some = documents("aabbcd", "xyxxyy")
    part = document_groups.deal(some, [1] * 6, 3)
    assert part[0] == part[1] and set(part) == {0, 1, 2}
    assert document_groups.sources(some, document_groups.places("aabbcd"))[0] == ""


def test_more_sources_than_parts_share_them():
    part = document_groups.deal(documents("abcde", "vwxyz"), [1] * 5, 2)
    assert sorted(np.bincount(part)) == [2, 3]
