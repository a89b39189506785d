"""Text of other splits in eval: replaced, told from boilerplate, and named where nothing is left."""

import pytest
from corpora_samples import SIZES, quoting, record

from implicit_sparsity.corpora.dedupe import words
from implicit_sparsity.corpora.splits import SPLITS, Options, split
from implicit_sparsity.errors import InputError


def test_contaminated_eval_documents_are_replaced():
    records = quoting(lambda i: f"quote {i}")
    result = split(records, Options(**SIZES), "d")
    assert result.contamination["n-gram overlap"] > 0 and len(result.documents["eval"]) == 10
    rest = [r for name in SPLITS[:4] for r in result.documents[name]]
    seen = {tuple(t[i : i + 13]) for t in map(plain, rest) for i in range(len(t) - 12)}
    for r in result.documents["eval"]:
        assert not any(tuple(plain(r)[i : i + 13]) in seen for i in range(len(plain(r)) - 12))


def plain(r):
    return [word for word in words(r) if word.isalnum()]


def test_boilerplate_of_a_source_is_no_contamination():
    intro = "on a very special island live only people who always lie or always tell the truth so then "
    records = [record(i, f"g{i}") for i in range(100)]
    result = split([r | {"prompt": intro + r["prompt"]} for r in records], Options(**SIZES), "d")
    assert result.contamination == {}


def test_contamination_that_empties_eval_is_named():
    intro = " ".join(f"leak{i}" for i in range(20))
    records = [record(i, f"g{i}", prompt=f"{record(i)['prompt']} {intro}") for i in range(4)]
    options = Options(train=2, probe=0, select=0, eval=2, near_duplicate=1)
    with pytest.raises(InputError, match=r"d: split eval wants 2 .* 2 more contaminated by the other splits"):
        split(records, options, "d")
