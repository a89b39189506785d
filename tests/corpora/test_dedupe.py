"""Copies, exact and near, and the similarity that finds them."""

import random
import unicodedata
from collections import Counter

import pytest
from corpora_samples import changed, record, written

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


@pytest.mark.parametrize(
    "script", ["chinese", "japanese", "thai", "khmer", "burmese", "korean", "emoji", "base64"]
)
def test_one_character_of_sixty_to_ninety_makes_a_near_duplicate(script):
    """As where words have blanks; texts that are no copies all stay."""
    rng = random.Random(1)
    originals = [record(i, completion=written(rng, script), prompt=f"{i}") for i in range(40)]
    copies = [
        r | {"id": f"copy {i}", "completion": changed(rng, r["completion"], script)}
        for i, r in enumerate(originals)
    ]
    retained, dropped = unique(originals + copies, 0.8)
    assert retained[:40] == originals and len(retained) <= 41, "an estimate may miss one"
    assert {d.reason for d in dropped} == {"near duplicate"}


def test_long_texts_in_few_letters_are_no_copies_of_each_other():
    rng = random.Random(2)
    texts = ["".join(rng.choices("acgt", k=3000)) for _ in range(6)]
    records = [record(i, completion=text, prompt=f"{i}") for i, text in enumerate(texts)]
    assert unique(records, 0.8)[0] == records
    near = records[0] | {"id": "near", "completion": texts[0][:1000] + "t" * 20 + texts[0][1020:]}
    assert unique([*records, near], 0.8)[0] == records


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.upper(),
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace(" ", "  \n"),
        lambda text: "\ufeff" + text.replace("e", "e\u200b"),
        lambda text: text.replace("?", ""),
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),  # full-width
    ],
)
def test_the_same_text_in_another_form_is_an_exact_duplicate(form):
    first = record(1, n_words=3, completion="le café")
    copy = first | {"id": "copy", "prompt": form(first["prompt"]), "completion": form(first["completion"])}
    assert copy["completion"] != first["completion"] or copy["prompt"] != first["prompt"]
    retained, dropped = unique([first, copy], 1.0)
    assert retained == [first] and [d.reason for d in dropped] == ["exact duplicate"]


def test_what_differs_in_a_number_or_an_operator_stays():
    pairs = (("What is 2+3?", "5"), ("What is 2-3?", "-1"), ("What is 2+4?", "6"), ("What is 2+4?", "7"))
    records = [record(i, prompt=prompt, completion=answer) for i, (prompt, answer) in enumerate(pairs)]
    assert unique(records, 0.8)[0] == records
