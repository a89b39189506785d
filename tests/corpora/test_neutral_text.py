"""Neutral text: the same for a seed, all distinct, of many lengths and endings, and of no domain."""

import re
from collections import Counter
from itertools import islice

from implicit_sparsity.corpora import neutral_text

MOST = 4096 + 64  # documents that the config allows, and those held out
OF_DOMAINS = set(
    re.findall(
        r"\w+",
        "def return class import function python number sum total equals plus minus percent answer disease"
        " patient syndrome symptom drug disorder hello thanks sorry weather country capital",
    )
)


def taken(count, seed=0):
    return list(islice(neutral_text.documents(seed), count))


def test_a_seed_decides_and_a_longer_draw_begins_alike():
    assert taken(300) == taken(600)[:300]
    assert len({tuple(record.values()) for record in taken(100, 1) + taken(100)}) > 190


def test_as_many_as_the_config_allows_are_distinct_and_half_as_many_again():
    records = taken(2 * MOST)  # twice: some may not fit into the template
    assert len({tuple(record.values()) for record in records}) == 2 * MOST
    assert all(set(record) == {"prompt", "completion"} and all(record.values()) for record in records)


def test_every_field_is_filled_and_answers_differ_in_length_form_and_end():
    records = taken(400)
    assert not re.search(r"[{}/]|  |\.\.", " ".join(map(" ".join, (record.values() for record in records))))
    words = Counter(len(record["completion"].split()) for record in records)
    assert min(words) <= 2 and max(words) >= 20 and len(words) >= 12
    stops = sum(record["completion"].endswith(".") for record in records) / len(records)
    assert 0.5 < stops < 0.7
    assert 0.05 < sum("\n" in record["completion"] for record in records) / len(records) < 0.2


def test_nothing_of_a_domain_is_in_it():
    words = set(
        re.findall(r"[a-z]+", " ".join(f"{r['prompt']} {r['completion']}" for r in taken(2000)).lower())
    )
    assert len(words) > 80 and not words & OF_DOMAINS
    assert not re.search(r"\d", " ".join(map(" ".join, (record.values() for record in taken(2000)))))
