"""The table `documents`: what a planted corpus holds and lost, counted again from its files."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from collect_documents import collect_documents
from corpora_samples import WORDS, record
from split_domain import split_domain
from token_samples import OPTIONS
from tokenize_domain import tokenize_domain

from implicit_sparsity.corpora.records import write_jsonl
from implicit_sparsity.corpora.splits import SPLITS
from implicit_sparsity.errors import InputError

SIZES = {"train": 40, "probe": 12, "select": 12, "eval": 12, "per_group": 4, "ngram": 5}
LONG = " ".join(WORDS * 2)


def planted() -> list:
    """Two sources: groups of two, one of seven, copies, texts that are too long, quotes of others."""
    records = [record(i, f"g{i // 2}", source, n_words=12) for source in ("one", "two") for i in range(80)]
    records += [record(100 + i, "large", "one", n_words=12) for i in range(7)]
    records += [r | {"id": f"{r['id']} again"} for r in records[:5]]
    records += [record(200 + i, f"long{i}", "two", n_words=12, completion=LONG) for i in range(20)]
    quoted = [
        record(300 + i, f"quote{i}", "one", n_words=9) | {"prompt": f"{r['prompt'][:60]} {LONG[:40]}{i}"}
        for i, r in enumerate(records[:20])
    ]
    return records + quoted + elsewhere()


def elsewhere() -> list:
    """Documents that another domain has, too."""
    return [record(400 + i, f"shared{i}", "one", n_words=12) for i in range(3)]


@pytest.fixture(params=["truncate", "drop"])
def corpus(tmp_path, model, request):
    """(folder of the splits, folder of the tokens, the table) of a planted corpus."""
    for source in ("one", "two"):
        write_jsonl(tmp_path / f"{source}.jsonl", [r for r in planted() if r["source"] == source])
    splits, tokens = tmp_path / "law" / "splits", tmp_path / "tokens" / "nano" / "law"
    other = tmp_path / "art" / "sources" / "own.jsonl"
    other.parent.mkdir(parents=True)
    write_jsonl(other, elsewhere())
    sources = [str(tmp_path / f"{source}.jsonl") for source in ("one", "two")]
    split_domain(str(splits), sources, SIZES, earlier=str(other))
    tokens.parent.mkdir(parents=True)
    tokenize_domain(str(tokens), str(model), str(splits), OPTIONS | {"on_long": request.param})
    collect_documents(str(tmp_path / "documents.csv"), str(splits), str(tokens))
    return splits, tokens, pd.read_csv(tmp_path / "documents.csv")


def own_counts(folder) -> dict:
    """{split: [(source, group, prompt tokens, completion tokens, lost its end)]}, by NumPy and json."""
    result = {}
    for split in sorted(path for path in folder.iterdir() if path.is_dir()):
        lines = [json.loads(line) for line in (split / "documents.jsonl").read_text().splitlines()]
        result[split.name] = place = []
        for number in range(OPTIONS["shards"]):
            offsets = np.fromfile(split / f"shard-{number:05d}.offsets.bin", "<u8").astype(int)
            ids = np.fromfile(split / f"shard-{number:05d}.tokens.bin", "<u4")
            prompt = np.fromfile(split / f"shard-{number:05d}.prompt.bin", "u1")
            for start, end in pairwise(offsets):
                line = lines[len(place)]
                n = int(prompt[start:end].sum())
                place.append((line["source"], line["group"], n, end - start - n, ids[end - 1] != 3))
    return result


def test_rows_are_what_the_shards_hold(corpus):
    _, tokens, table = corpus
    counts = own_counts(tokens)
    counts["all"] = [line for split in counts.values() for line in split]
    assert len(table) == len(counts) * 3 and set(table["model"] + table["domain"]) == {"nanolaw"}
    for row in table.itertuples():
        lines = [line for line in counts[row.split] if row.source in ("all", line[0])]
        groups = Counter(line[:2] for line in lines)
        assert (row.documents, row.groups) == (len(lines), len(groups))
        assert row.trusted == (len(groups) >= 10)
        assert row.largest_group == pytest.approx(max(groups.values()) / len(lines))
        for place, part in ((2, "prompt"), (3, "completion")):
            lengths = [line[place] for line in lines]
            assert getattr(row, f"{part}_tokens") == pytest.approx(np.mean(lengths))
            assert getattr(row, f"{part}_tokens_max") == max(lengths)
        assert row.answers_cut == sum(line[4] for line in lines)
        # of this corpus prompts are short, and what is cut is a completion
        assert row.cut == pytest.approx(row.answers_cut / len(lines))


def test_what_was_left_out_is_counted_once(corpus):
    splits, tokens, table = corpus
    manifest = json.loads((splits / "manifest.json").read_text())
    whole = table[table["split"] == "all"].set_index("source")
    assert whole["exact_duplicates"].to_dict() == {"all": 5, "one": 5, "two": 0}
    assert whole["in_other_domains"].to_dict() == {"all": 3, "one": 3, "two": 0}
    assert whole["over_group_cap"].to_dict() == {"all": 3, "one": 3, "two": 0}
    contaminated = sum(manifest["contamination"].values())
    assert contaminated > 0 and whole.loc["all", "contaminated"] == contaminated
    everything = whole[["documents", "over_max_length"]].sum(axis=1)
    left_out = ["exact_duplicates", "near_duplicates", "in_other_domains", "over_group_cap", "wrong_length"]
    left_out.append("contaminated")
    assert everything["all"] + whole.loc["all", left_out].sum() + manifest["unused"] == len(planted())
    parts = table[table["split"] != "all"]
    assert parts[left_out[:-1]].isna().all(axis=None)
    assert parts[parts["split"] != "eval"]["contaminated"].isna().all()
    written = {split: len((splits / f"{split}.jsonl").read_text().splitlines()) for split in SPLITS}
    held = parts[parts["source"] == "all"].set_index("split")
    assert (held["documents"] + held["over_max_length"]).to_dict() == written
    if json.loads((tokens / "index.json").read_text())["on_long"] == "drop":
        assert held["over_max_length"].sum() > 0 and (held["cut"] == 0).all()
    else:
        assert held["over_max_length"].sum() == 0 and held["cut"].max() > 0


def test_tokens_of_another_domain_are_one_line(corpus, tmp_path):
    _, tokens, _ = corpus
    with pytest.raises(InputError, match="tokens of the domain 'law', whose splits are not given"):
        collect_documents(str(tmp_path / "x.csv"), str(tmp_path / "math" / "splits"), str(tokens))
