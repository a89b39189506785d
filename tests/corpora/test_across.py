"""Documents that two domains share: in one of them alone, counted and reported where they are left out."""

import json
import logging
import random

import pytest
from corpora_samples import SIZES, changed, record, written
from split_domain import split_domain

from implicit_sparsity.corpora import across
from implicit_sparsity.corpora.records import read_jsonl, write_jsonl


def without(records, others, threshold=0.8, ngram=13):
    retained, dropped = across.without(records, others, threshold, ngram)
    return [r["id"] for r in retained], [(item.reason, item.source) for item in dropped]


def test_exact_and_near_copies_are_left_to_the_other_domain():
    own = [record(i, n_words=60) for i in range(10)]
    exact = own[0] | {"prompt": own[0]["prompt"].upper() + "\u00a0", "source": "else"}
    near = own[1] | {"prompt": own[1]["prompt"].replace(own[1]["prompt"].split()[5], "other", 1)}
    others = [("law", near), ("art", exact), ("law", exact), ("art", record(50, n_words=60))]
    ids, dropped = without(own, others)
    assert ids == [r["id"] for r in own[2:]]
    assert dropped == [("duplicate of domain art", "one"), ("duplicate of domain law", "one")]
    ids, dropped = without(own, others, threshold=1, ngram=60)
    assert len(ids) == 9 and dropped == [("duplicate of domain art", "one")], "1: exact duplicates only"


@pytest.mark.parametrize("script", ["chinese", "japanese", "thai", "korean", "base64"])
def test_near_copies_in_scripts_without_blanks(script):
    rng = random.Random(4)
    own = [record(i, completion=written(rng, script), prompt=f"{i}") for i in range(30)]
    theirs = [r | {"completion": changed(rng, r["completion"], script)} for r in own[:20]]
    ids, dropped = without(own, [("law", r) for r in theirs])
    assert len(dropped) in (19, 20) and set(ids) >= {r["id"] for r in own[20:]}, "an estimate may miss one"


def test_a_passage_of_another_domain_counts_where_it_is_as_long_as_an_n_gram():
    own = [record(i, f"g{i}", n_words=20) for i in range(3)]
    question, new = own[0]["prompt"].split(), record(9, n_words=90)["prompt"]
    for n, reasons in ((13, [("n-gram overlap with domain law", "one")]), (12, [])):
        theirs = record(8) | {"prompt": " ".join(question[:n]), "completion": new}
        assert without(own, [("law", theirs)])[1] == reasons


def test_an_instruction_that_two_domains_share_is_no_passage():
    intro = "read the following text and answer the question below in one word or two please: "
    own, theirs = ([record(i, f"g{i}") for i in numbers] for numbers in (range(9), range(20, 29)))
    own, theirs = ([r | {"prompt": intro + r["prompt"]} for r in records] for records in (own, theirs))
    assert without(own, [("law", r) for r in theirs]) == ([r["id"] for r in own], [])


def test_nothing_to_compare():
    assert without([], [("law", record(1))]) == without([], []) == ([], [])


SHARED = {"law": range(120), "art": range(60, 220), "lore": [*range(40), *range(180, 320)]}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three domains in an order; of the second and third 60 and 80 documents are in earlier ones."""
    root = tmp_path_factory.mktemp("across")
    files = {}
    for domain, numbers in SHARED.items():
        place = root / domain / "sources" / "own.jsonl"
        place.parent.mkdir(parents=True)
        made = [record(n, f"g{n}") | {"id": f"{domain}:{n}"} for n in numbers]
        write_jsonl(place, made)
        split_domain(str(root / domain / "splits"), str(place), SIZES, earlier=[*files.values()])
        files[domain] = str(place)
    return root


def test_no_document_is_in_two_domains(study):
    texts = {}
    for domain in SHARED:
        for file in (study / domain / "splits").glob("*.jsonl"):
            for r in read_jsonl(file)[0]:
                texts.setdefault(r["prompt"], set()).add(domain)
    assert {len(domains) for domains in texts.values()} == {1} and len(texts) == 3 * 68


def test_what_is_left_out_is_counted_by_domain(study):
    manifests = {d: json.loads((study / d / "splits" / "manifest.json").read_text()) for d in SHARED}
    assert manifests["law"]["dropped"] == {}, "the first keeps all"
    assert manifests["art"]["dropped"] == {"duplicate of domain law": 60}
    assert manifests["lore"]["dropped"] == {"duplicate of domain art": 40, "duplicate of domain law": 40}
    assert manifests["lore"]["dropped_by_source"] == {"one": manifests["lore"]["dropped"]}


def test_it_is_a_warning_in_the_log(study, tmp_path, caplog):
    place, law = study / "art" / "sources" / "own.jsonl", str(study / "law" / "sources" / "own.jsonl")
    sizes = SIZES | {"probe": 10, "select": 10}
    with caplog.at_level(logging.INFO):
        split_domain(str(tmp_path / "art" / "splits"), str(place), sizes, earlier=law)
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert lines == [
        "art: of 160 documents 60 duplicate of domain law: left out here, as what one domain trains another "
        "would evaluate"
    ]
    caplog.clear()
    split_domain(str(tmp_path / "again" / "splits"), str(place), sizes)
    assert not caplog.records
