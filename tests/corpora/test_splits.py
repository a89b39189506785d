"""Splits: exact sizes, no group or copy in two, the same bytes, one clear line where documents run out."""

import hashlib
import json
import random
from collections import Counter

import pytest
from corpora_samples import SIZES, grouped, quoting, record, run_python
from split_domain import split_domain

from implicit_sparsity.corpora.records import read_jsonl, write_jsonl
from implicit_sparsity.corpora.splits import SPLITS, Options, deal, split
from implicit_sparsity.errors import InputError


def where(result, key):
    """value of ``key`` -> the splits it is in"""
    places = {}
    for name, records in result.documents.items():
        for r in records:
            places.setdefault(key(r), set()).add(name)
    return places


@pytest.mark.parametrize("seed", range(12))
def test_no_group_leaks_and_sizes_are_exact(seed):
    rng = random.Random(seed)
    records = grouped(rng, ["one", "two", "three"][: rng.randint(1, 3)], rng.randint(40, 70))
    result = split(records, Options(**SIZES, seed=seed), "d")
    wanted = {"train": 40, "probe_a": 6, "probe_b": 6, "select": 6, "eval": 10}
    assert {name: len(outcome) for name, outcome in result.documents.items()} == wanted
    assert all(len(names) == 1 for names in where(result, lambda r: (r["source"], r["group"])).values())
    assert all(len(names) == 1 for names in where(result, lambda r: r["id"]).values())
    left_out = sum(result.dropped.values()) + result.unused + sum(result.contamination.values())
    assert sum(wanted.values()) + left_out == len(records)
    shuffled = rng.sample(records, len(records))
    assert split(shuffled, Options(**SIZES, seed=seed), "d") == result  # the order of input is nothing
    assert split(records, Options(**SIZES, seed=seed + 100), "d") != result


def test_sources_have_the_same_share_everywhere():
    records = [record(i, f"g{i}", "one") for i in range(150)]
    records += [record(i, f"g{i}", "two") for i in range(50)]
    result = split(records, Options(**SIZES), "d")
    for name, outcome in result.documents.items():
        share = Counter(r["source"] for r in outcome)["two"] / len(outcome)
        assert abs(share - 0.25) <= 1 / len(outcome) + 0.02, name


def test_one_large_group_does_not_break_the_sizes():
    records = [record(i, "large") for i in range(60)] + [record(100 + i, f"g{i // 3}") for i in range(60)]
    result = split(records, Options(**SIZES), "d")
    assert [len(result.documents[name]) for name in SPLITS] == [40, 6, 6, 6, 10]


def test_deal_gives_every_group_to_one_split():
    groups = {f"g{i}": 1 + i % 5 for i in range(30)}
    dealt = deal(groups, {"train": 10, "probe_a": 0, "eval": 5}, seed=1)
    assert sorted(g for result in dealt.values() for g in result) == sorted(groups) and dealt["probe_a"] == []


def test_documents_run_out():
    with pytest.raises(InputError) as caught:
        split([record(i, f"g{i // 2}") for i in range(50)], Options(**SIZES), "medical")
    text = str(caught.value)
    assert text.startswith("medical: split ") and "wants" in text and "available (one " in text


def test_lengths_are_filtered_and_counted():
    records = [record(i, f"g{i}") for i in range(100)] + [record(200, "x", n_words=500)]
    assert split(records, Options(**SIZES, max_chars=600), "d").dropped["too short or too long"] == 1
    with pytest.raises(InputError, match="split train wants 40 documents, 1 available"):
        split(records, Options(**SIZES, min_chars=2000), "d")


CODE = """
import sys; sys.path.insert(0, sys.argv[1]); from split_domain import split_domain
split_domain(sys.argv[2], sys.argv[3:], {"train": 40, "probe": 6, "select": 6, "eval": 10})
"""


def test_folder_manifest_and_same_bytes_in_another_process(tmp_path):
    records = quoting(lambda i: f"quote {i}")
    for name in ("one", "two"):
        own = [r | {"source": name, "id": f"{name}{r['id']}"} for r in records[name == "two" :: 2]]
        write_jsonl(tmp_path / f"{name}.jsonl", own)
    sources = [str(tmp_path / f"{name}.jsonl") for name in ("one", "two")]
    split_domain(str(tmp_path / "d" / "splits"), sources, SIZES)
    scripts = split_domain.__globals__["__file__"].rsplit("/", 1)[0]
    done = run_python(CODE, scripts, tmp_path / "e" / "d" / "splits", *sources[::-1], hash_seed="5")
    assert done.returncode == 0, done.stderr
    files = {p.name: p.read_bytes() for p in (tmp_path / "d" / "splits").iterdir()}
    assert files == {p.name: p.read_bytes() for p in (tmp_path / "e" / "d" / "splits").iterdir()}
    assert sorted(files) == sorted([*(f"{name}.jsonl" for name in SPLITS), "manifest.json"])
    manifest = json.loads(files["manifest.json"])
    assert manifest["domain"] == "d" and manifest["documents"]["eval"] == 10
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256(files[name]).hexdigest() == digest
    assert sum(manifest["by_source"]["train"].values()) == 40 and manifest["licences"] == {"CC0": 68}
    for name in SPLITS:
        read_jsonl(tmp_path / "d" / "splits" / f"{name}.jsonl")


def test_failed_split_leaves_nothing(tmp_path):
    write_jsonl(tmp_path / "one.jsonl", [record(i) for i in range(10)])
    one = str(tmp_path / "one.jsonl")
    for sources, options in (([one], SIZES), ([one, one], SIZES), ([one], SIZES | {"holdout": 3})):
        with pytest.raises(InputError):
            split_domain(str(tmp_path / "splits"), sources, options)
    assert [p.name for p in tmp_path.iterdir()] == ["one.jsonl"]
