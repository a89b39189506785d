"""One source into one file of records: options checked, what is left out counted, nothing half written."""

import hashlib
import json

import pytest

from implicit_sparsity.corpora.collect import collect
from implicit_sparsity.corpora.records import read_jsonl
from implicit_sparsity.errors import InputError


def test_limit_seed_and_length_choose_documents(tmp_path):
    def ids(**options):
        collect(tmp_path / "a", tmp_path / "b", "d", "champ", options)
        return [r["id"] for r in read_jsonl(tmp_path / "a")[0]]

    assert ids(limit=20, seed=1) == ids(limit=30, seed=1)[:20] != ids(limit=20, seed=2)
    assert len(ids(seed=1)) == 270
    short = ids(seed=1, max_chars=400)
    assert 20 < len(short) < 270
    assert json.loads((tmp_path / "b").read_text())["dropped"] == {"over max_chars": 270 - len(short)}


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("no_such", {}, "loader: no loader 'no_such' (there are: algorithms"),
        ("x", {"loader": "../champ"}, "no loader"),
        ("champ", {"turns": 3}, "turns: loader champ has no such option"),
        ("champ", {"limit": 0}, "d.champ.limit: must be a whole number"),
        ("champ", {"max_chars": 1}, "d.champ: no records (270 over max_chars)"),
        ("gsm_symbolic", {}, "limit: a generator has no end"),
        ("reasoning_gym_logic", {"limit": 3, "tasks": ["zebra"]}, "tasks: no task 'zebra'"),
        ("jsonl", {"path": "x"}, "licence: loader jsonl needs this option"),
        ("jsonl", {"path": "x", "licence": "y"}, "fields: name the columns"),
    ],
)
def test_wrong_options(tmp_path, source, options, message):
    with pytest.raises(InputError) as caught:
        collect(tmp_path / "a", tmp_path / "b", "d", source, options)
    assert message in str(caught.value) and not list(tmp_path.iterdir())


ROWS = [
    {"q": "one?", "a": "1", "topic": "x"},
    {"q": "two?", "a": "two", "topic": "x"},
    {"q": "three?", "a": "12345", "topic": 7},
    {"q": "", "a": "nothing", "topic": "x"},
    {"q": "four?", "a": "four", "topic": "y"},
    {"q": "long?", "a": "a" * 100, "topic": "z"},
]
OPTIONS = {
    "loader": "jsonl",
    "fields": {"prompt": "q", "completion": "a", "group": "topic"},
    "licence": "CC0-1.0",
    "on_bad": "drop",
    "max_chars": 50,
}


def table(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def own(tmp_path):
    """The options of a source of one's own, a table of six rows."""
    return OPTIONS | {"path": table(tmp_path / "own.jsonl", ROWS)}


def test_the_manifest_counts_what_was_taken_and_what_was_not(tmp_path, own):
    summary = collect(tmp_path / "a.jsonl", tmp_path / "a.json", "d", "mine", own)
    assert summary == json.loads((tmp_path / "a.json").read_text())
    assert summary == {
        "domain": "d",
        "source": "mine",
        "loader": "jsonl",
        "options": own,
        "documents": 4,
        "groups": 3,  # x, 7 and y
        "licences": ["CC0-1.0"],
        "completion_chars_mean": 3.2,  # (1 + 3 + 5 + 4) / 4 = 3.25, which a float holds: half goes to even
        "dropped": {"empty text": 1, "over max_chars": 1},
        "versions": {},
        "sha256": {"a.jsonl": hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()},
    }


def test_ids_begin_with_the_source_and_not_with_the_loader(tmp_path, own):
    collect(tmp_path / "a.jsonl", tmp_path / "a.json", "d", "mine", own)
    records = read_jsonl(tmp_path / "a.jsonl")[0]
    places = {"mine:1": "one?", "mine:2": "two?", "mine:3": "three?", "mine:5": "four?"}
    assert {r["id"]: r["prompt"] for r in records} == places
    assert {r["source"] for r in records} == {"mine"}


def test_sources_and_domains_draw_by_seeds_of_their_own(tmp_path, own):
    table(tmp_path / "own.jsonl", [{"q": f"{i}?", "a": "x"} for i in range(60)])
    options = own | {"fields": {"prompt": "q", "completion": "a"}, "limit": 10}

    def drawn(domain, source, **more):
        collect(tmp_path / "a.jsonl", tmp_path / "a.json", domain, source, options | more)
        return [r["prompt"] for r in read_jsonl(tmp_path / "a.jsonl")[0]]

    first = drawn("d", "mine")
    assert len(first) == 10 and drawn("d", "mine", seed=0) == first, "0 is the seed where none is given"
    others = drawn("d", "mine", seed=1), drawn("e", "mine"), drawn("d", "yours")
    assert len({tuple(prompts) for prompts in (first, *others)}) == 4


def test_a_source_that_fails_leaves_what_was_there(tmp_path, own):
    outputs = tmp_path / "a.jsonl", tmp_path / "a.json"
    collect(*outputs, "d", "mine", own)
    before = [path.read_bytes() for path in outputs]
    with pytest.raises(InputError, match=r"own\.jsonl:4: prompt: is empty$"):
        collect(*outputs, "d", "mine", own | {"on_bad": "refuse"})
    with pytest.raises(InputError, match=r"^d\.mine: no records \(1 empty text, 5 over max_chars\)$"):
        collect(*outputs, "d", "mine", own | {"max_chars": 4})
    table(tmp_path / "own.jsonl", [])
    with pytest.raises(InputError, match=r"^d\.mine: no records \(the loader gave none\)$"):
        collect(*outputs, "d", "mine", own)
    assert [path.read_bytes() for path in outputs] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.jsonl", "own.jsonl"]


@pytest.mark.parametrize("limit", [True, 2.0, "3", -1])
def test_a_limit_is_a_whole_number(tmp_path, own, limit):
    with pytest.raises(InputError) as caught:
        collect(tmp_path / "a.jsonl", tmp_path / "a.json", "d", "mine", own | {"limit": limit})
    assert str(caught.value) == f"d.mine.limit: must be a whole number from 1, found {limit!r}"
