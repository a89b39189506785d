"""What lies beside the splits: counted by hand, and where each source came from."""

import hashlib
from collections import Counter

from corpora_samples import record

from implicit_sparsity.corpora import manifest
from implicit_sparsity.corpora.records import write_jsonl
from implicit_sparsity.corpora.splits import Options, Split
from implicit_sparsity.storage.files import write_json

CHOICES = {"choices": ["a", "b"], "correct": 0}


def test_counts_by_split_and_source(tmp_path):
    documents = {
        "train": [record(0, "g"), record(1, "g", "two", **CHOICES), record(2, "h", "two", licence="MIT")],
        "eval": [record(3, "i", **CHOICES), record(4, "i", **CHOICES)],
        "probe_a": [],
    }
    for name, records in documents.items():
        write_jsonl(tmp_path / f"{name}.jsonl", records)
    dropped = Counter({"near duplicate": 2, "exact duplicate": 1})
    result = Split(documents, dropped, unused=7, contamination={"n-gram overlap": 3})
    made = manifest.of_splits("d", result, Options(train=3, probe=0, select=0, eval=2), [], tmp_path)
    assert made["documents"] == {"train": 3, "eval": 2, "probe_a": 0}
    assert made["by_source"] == {"train": {"one": 1, "two": 2}, "eval": {"one": 2}, "probe_a": {}}
    assert made["groups"] == {"train": 3, "eval": 1, "probe_a": 0}, "two sources may name a group alike"
    assert made["with_choices"] == {"train": 1, "eval": 2, "probe_a": 0}
    assert made["licences"] == {"CC0": 4, "MIT": 1}
    assert list(made["dropped"].items()) == [("exact duplicate", 1), ("near duplicate", 2)]
    assert (made["contamination"], made["unused"], made["sources"]) == ({"n-gram overlap": 3}, 7, {})
    assert (made["domain"], made["options"]["train"], made["options"]["eval"]) == ("d", 3, 2)
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.iterdir()}
    assert made["sha256"] == sums


def test_a_source_says_where_it_came_from_and_a_file_without_manifest_its_checksum(tmp_path):
    for name in "ba":
        write_jsonl(tmp_path / f"{name}.jsonl", [record(1)])
    write_json(tmp_path / "a.manifest.json", {"loader": "champ"})
    made = manifest.of_sources([str(tmp_path / "b.jsonl"), tmp_path / "a.jsonl"])
    digest = hashlib.sha256((tmp_path / "b.jsonl").read_bytes()).hexdigest()
    assert list(made.items()) == [("a", {"loader": "champ"}), ("b", {"sha256": {"b.jsonl": digest}})]
