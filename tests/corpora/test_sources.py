"""Every loader on its real data: good records, the same ones in every process, groups that mean something."""

import json
import re
from collections import Counter

import pytest
from corpora_samples import run_python

from implicit_sparsity.corpora import loaders
from implicit_sparsity.corpora.collect import collect
from implicit_sparsity.corpora.records import read_jsonl
from implicit_sparsity.corpora.sources.reasoning_gym_logic import RELATIONS

LOCAL = {"jsonl", "parquet", "hub"}
SHIPPED = [name for name in loaders.names() if name not in LOCAL]
COLLECT = """
import sys; from implicit_sparsity.corpora.collect import collect
for name in sys.argv[2:]:
    collect(f"{sys.argv[1]}/{name}.jsonl", f"{sys.argv[1]}/{name}.json", "d", name, {"limit": 40, "seed": 3})
"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """All shipped sources, collected in another process under another hash seed."""
    folder = tmp_path_factory.mktemp("collected")
    done = run_python(COLLECT, folder, *SHIPPED, hash_seed="77")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def records(collected):
    return {name: read_jsonl(collected / f"{name}.jsonl")[0] for name in SHIPPED}


@pytest.mark.parametrize("name", SHIPPED)
def test_same_bytes_in_another_process(collected, tmp_path, name):
    manifest = collect(tmp_path / f"{name}.jsonl", tmp_path / "m.json", "d", name, {"limit": 40, "seed": 3})
    assert (tmp_path / f"{name}.jsonl").read_bytes() == (collected / f"{name}.jsonl").read_bytes()
    assert (tmp_path / "m.json").read_bytes() == (collected / f"{name}.json").read_bytes()
    assert manifest["documents"] == 40 and manifest["versions"] and manifest["licences"]


@pytest.mark.parametrize("name", SHIPPED)
def test_records_are_good(records, name):
    result = records[name]
    assert len(result) == len({r["id"] for r in result}) == 40
    assert all(r["id"].startswith(f"{name}:") and r["source"] == name for r in result)
    assert len({r["group"] for r in result}) >= 8
    assert all(r["prompt"].strip() and r["completion"] == r["completion"].rstrip() for r in result)


def test_code_is_whole(records):
    for name in ("python_stdlib", "human_eval", "algorithms"):
        bodies = [f"{r['prompt']}\n{r['completion']}\n" for r in records[name]]
        assert sum(_compiles(text) for text in bodies) == len(bodies)


def _compiles(text):
    try:
        compile(text, "document", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def test_math_ends_in_its_answer(records):
    for name in ("gsm_symbolic", "champ"):
        assert all(r["completion"].endswith(f"\n#### {r['answer']}") for r in records[name])
    assert all(re.fullmatch(r"-?[\d.,]+", r["answer"]) for r in records["gsm_symbolic"])
    assert not any("Do not include units" in r["prompt"] for r in records["gsm_symbolic"])


@pytest.mark.parametrize("name", ["hpo", "icd10", "medmcqa", "mmlu", "reasoning_gym_logic", "socialiqa"])
def test_natural_choices(records, name):
    for r in records[name]:
        assert r["answer"] == r["completion"] and 2 <= len(r["choices"]) <= 4
    places = Counter(r["choices"].index(r["answer"]) for r in records[name])
    assert max(places.values()) <= 30  # the right one is not always in the same place


def test_wrong_puzzles_are_left_out(collected, records):
    dropped = json.loads((collected / "reasoning_gym_logic.json").read_text())["dropped"]
    assert set(dropped) == {"wrong answer in syllogism", "wrong answer in family_relationships"}
    family = [r for r in records["reasoning_gym_logic"] if r["group"].startswith("family")]
    assert family and all(r["answer"] in RELATIONS for r in family)


def test_conversations_alternate(records):
    for r in records["chitchat"]:
        assert r["prompt"].startswith("A: ") and r["id"] == f"chitchat:{r['group']}"
