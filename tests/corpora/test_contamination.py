"""Text of other splits in eval: replaced, told from boilerplate, and named where nothing is left."""

import random

import pytest
from corpora_samples import SIZES, quoting, record, written

from implicit_sparsity.corpora.contamination import contaminated, ngrams
from implicit_sparsity.corpora.sameness import words
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
    return words(f"{r['prompt']}\n{r['completion']}")


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


@pytest.mark.parametrize("script", ["chinese", "japanese", "thai", "korean", "base64"])
def test_a_quote_of_a_text_without_blanks(script):
    """A half of another text is in the eval document, beside as much that is new."""
    rng = random.Random(3)
    rest = [record(i, f"g{i}", completion=written(rng, script) + written(rng, script)) for i in range(20)]
    quotes = [
        record(100 + i, f"q{i}", completion=r["completion"][:70] + written(rng, script))
        for i, r in enumerate(rest)
    ]
    clean = [record(200 + i, f"c{i}", completion=written(rng, script)) for i in range(20)]
    reasons = contaminated(quotes + clean, rest, rest + quotes + clean, 13, 0.8)
    assert reasons == ["n-gram overlap"] * 20 + [None] * 20


def test_how_long_a_run_is():
    """Words count one, characters a half, signs nothing; a run ends where it has n words."""
    counts = {"a b c d": 2, "一二三四五六七": 2, "a 字字 b - c": 2, "a 字 b": 0}
    assert {text: len(ngrams(words(text), 3)) for text in counts} == counts
    assert ngrams(words("x 字字 b c"), 3) & ngrams(words("y 字字 b c"), 3) == ngrams(words("字字 b c"), 3)


def test_a_run_that_holds_boilerplate_does_not_count():
    common = ngrams(words("b c"), 2)
    assert ngrams(words("a b c d"), 3, common) == set()
    assert ngrams(words("a b c d e f"), 3, common) == ngrams(words("c d e f"), 3)
