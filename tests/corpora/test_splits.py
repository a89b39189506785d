"""Splits: exact sizes, no group or copy in two, the same bytes, one clear line where documents run out."""

import hashlib
import json
import random
from collections import Counter

import pytest
from corpora_samples import SIZES, grouped, quoting, record, run_python
from split_domain import split_domain

from implicit_sparsity.corpora.records import read_jsonl, write_jsonl
from implicit_sparsity.corpora.splits import SPLITS, Options, split
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


def test_a_group_has_no_more_documents_than_its_cap():
    """Groups of 1 to 9 documents: which of them stay is drawn by seed, whatever the order of input."""
    sizes = {f"g{i}": 1 + i % 9 for i in range(60)}
    records = [record(i * 10 + j, g, "two") for i, (g, n) in enumerate(sizes.items()) for j in range(n)]
    plain, capped, other = (
        split(records, Options(**SIZES, per_group=cap, seed=seed), "d")
        for cap, seed in ((False, 0), (3, 0), (3, 1))
    )
    assert plain.dropped["over_group_cap"] == 0
    over = sum(max(0, n - 3) for n in sizes.values())
    assert capped.dropped["over_group_cap"] == other.dropped["over_group_cap"] == over
    assert capped.by_source == {"two": {"over_group_cap": over}}
    for result in (capped, other):
        everything = [r for documents in result.documents.values() for r in documents]
        assert max(Counter(r["group"] for r in everything).values()) == 3
    assert where(capped, lambda r: r["id"]) != where(other, lambda r: r["id"])
    assert split(records[::-1], Options(**SIZES, per_group=3), "d") == capped
    with pytest.raises(InputError, match=r"d: split .* wants"):
        split(records, Options(**SIZES, per_group=1), "d")


def test_what_is_left_out_is_counted_by_source():
    records = [record(i, f"g{i}", source) for source in ("one", "two") for i in range(60)]
    copies = [r | {"id": f"{r['id']} again"} for r in records[:3] + records[60:61]]
    long = [record(900 + i, "x", "two", n_words=500) for i in range(2)]
    result = split(records + copies + long, Options(**SIZES, max_chars=600), "d")
    assert result.by_source == {
        "one": {"exact duplicate": 3},
        "two": {"exact duplicate": 1, "too short or too long": 2},
    }
    assert result.dropped == {"exact duplicate": 4, "too short or too long": 2}


def test_a_source_that_has_too_little_leaves_its_share_to_others():
    """Of 10 documents in one group of "few" a split but one has none."""
    records = [record(i, f"g{i}", "many") for i in range(90)] + [record(i, "g", "few") for i in range(10)]
    result = split(records, Options(**SIZES), "d")
    assert [len(result.documents[name]) for name in SPLITS] == [40, 6, 6, 6, 10]
    assert len(where(result, lambda r: r["source"])["few"]) == 1


def test_few_groups_are_warned_of(tmp_path, caplog):
    few = [record(i, f"g{i % 12}") for i in range(90)]
    write_jsonl(tmp_path / "one.jsonl", few)
    split_domain(str(tmp_path / "d" / "splits"), str(tmp_path / "one.jsonl"), SIZES)
    manifest = json.loads((tmp_path / "d" / "splits" / "manifest.json").read_text())
    lines = [r.getMessage() for r in caplog.records if r.name == "split_domain"]
    assert len(lines) == sum(n < 10 for n in manifest["groups"].values()) > 0
    n = manifest["groups"]["eval"]
    assert f"d: the 10 documents of eval are of {n} groups: below 10 no interval is to be trusted" in lines
    caplog.clear()
    write_jsonl(tmp_path / "two.jsonl", [record(i, f"g{i}") for i in range(90)])
    sizes = SIZES | {"probe": 10, "select": 10}
    split_domain(str(tmp_path / "e" / "splits"), str(tmp_path / "two.jsonl"), sizes)
    assert not [r for r in caplog.records if r.name == "split_domain"]


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
