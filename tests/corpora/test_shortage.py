"""Why a split cannot be filled: each cause planted alone, and named with the key that changes it."""

import re

import pytest
from corpora_samples import SIZES, record

from implicit_sparsity.corpora.splits import Options, split
from implicit_sparsity.errors import InputError


def of(n: int, group_of, first: int = 0, **more) -> list[dict]:
    return [record(first + i, group_of(i), **more) for i in range(n)]


SINGLE = "g{}".format
CASES = {
    "two groups": (
        of(80, lambda i: "xy"[i % 2]),
        {},
        r"all 80 are of 2 groups, .* 5 splits need 5 groups or more: name a finer column as fields\.group",
    ),
    "fewer groups than splits after duplicates": (
        of(80, lambda i: "xyz"[i % 3]) + [r | {"id": f"copy {r['id']}"} for r in of(20, lambda i: "w")],
        {},
        r"left out: 20 exact duplicate\): all 80 are of [34] groups",
    ),
    "one group of nearly all": (
        of(114, lambda i: "large") + of(6, SINGLE, 200),
        {},
        r"120 in all would do, but a group goes to one split whole, and of 7 the largest has 114: "
        r"name a finer column as fields\.group of the source, cap it by splits\.per_group",
    ),
    "a low cap": (
        of(100, lambda i: f"g{i // 5}"),
        {"per_group": 1},
        r"left out: 80 over_group_cap\): splits\.per_group 1 left out 80: raise it",
    ),
    "a low cap of few groups": (of(100, lambda i: "xy"[i % 2]), {"per_group": 1}, "left out 98: raise it"),
    "few documents": (of(30, SINGLE), {}, r"\): raise the limits of the sources or lower the sizes"),
    "none": ([], {}, r"\(none\): raise the limits of the sources or lower the sizes"),
    "too long": (
        of(100, SINGLE),
        {"max_chars": 9},
        r"left out: 100 too short or too long\): raise the limits",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_named(name):
    records, options, expected = CASES[name]
    with pytest.raises(InputError) as caught:
        split(records, Options(**SIZES, **options), "d")
    message = str(caught.value)
    assert re.match(r"d: split \w+ wants \d+ documents, \d+ available \(", message)
    assert re.search(expected, message), message
    assert "group" not in message or name not in ("few documents", "none", "too long"), "no word of groups"


def test_what_another_domain_has_is_named():
    records = of(90, SINGLE)
    with pytest.raises(InputError, match=r"left out: 40 duplicate of domain law\): 40 are of domains before"):
        split(records, Options(**SIZES), "d", (("law", r) for r in records[:40]))


def test_as_many_groups_as_splits_do():
    records = [r for n, name in ((40, "a"), (6, "b"), (6, "c"), (6, "d"), (10, "e"))
               for r in of(n, lambda i, name=name: name, ord(name) * 100)]  # fmt: skip
    assert len(split(records, Options(**SIZES), "d").documents["eval"]) == 10
