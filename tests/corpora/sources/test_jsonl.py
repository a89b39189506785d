"""A user's own files: published formats, field names from the config, bad rows."""

import gzip
import json

import pytest
from corpora.corpora_samples import SHARED

from implicit_sparsity.corpora.records import Dropped, check
from implicit_sparsity.corpora.sources import jsonl
from implicit_sparsity.errors import InputError

QA = {"prompt": "q", "completion": "a"}


def documents(path, limit=None, **options):
    items = jsonl.documents(limit, 0, str(path), **{"fields": QA, "licence": "MIT", **options})
    return [item if isinstance(item, Dropped) else check(item | {"source": "s"}) for item in items]


def write(path, *rows):
    path.write_bytes(b"\n".join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows))
    return path


@pytest.mark.skipif(not (SHARED / "gsm8k_test.jsonl").is_file(), reason="the published files are not here")
def test_gsm8k():
    fields = {"prompt": "question", "completion": "answer"}
    result = documents(SHARED / "gsm8k_test.jsonl", fields=fields, answer_pattern="#### (.+)")
    assert len(result) == 1319 and len({r["id"] for r in result}) == 1319
    ducks = next(r for r in result if r["prompt"].startswith("Janet’s ducks"))
    assert ducks["answer"] == "18" and ducks["id"] == ducks["group"] == "1"


@pytest.mark.skipif(
    not (SHARED / "pubmedqa_ori_pqal.json").is_file(), reason="the published files are not here"
)
def test_pubmedqa():
    fields = {"prompt": "{CONTEXTS}\n{QUESTION}", "completion": "LONG_ANSWER", "answer": "final_decision"}
    path, choices = SHARED / "pubmedqa_ori_pqal.json", ["yes", "no", "maybe"]
    result = documents(path, limit=50, fields=fields, choices=choices, layout="mapping")
    assert len(result) == 50 and all(r["id"].isdigit() and r["answer"] in choices for r in result)
    assert all(r["prompt"].endswith("?") and "\n" in r["prompt"] for r in result)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"q": "\xff", "a": "x"}', "invalid UTF-8"),
        (b"{nonsense", "invalid JSON"),
        ({"q": "only"}, "missing field"),
        ({"q": "what?", "a": ""}, "empty text"),
        ({"q": " ", "a": "x"}, "empty text"),
        ({"q": "what?", "a": 3.5}, "wrong type"),
        ({"q": None, "a": "x"}, "empty text"),
        (b'{"q": NaN, "a": "x"}', "NaN or Infinity"),
        ({"q": "a" * 100_001, "a": "x"}, "over-long text"),
        (["q", "a"], "wrong type"),
    ],
)
def test_bad_rows(tmp_path, bad, reason):
    path = write(tmp_path / "a.jsonl", {"q": "one?", "a": "x"}, bad, {"q": "two?", "a": "y"})
    with pytest.raises(InputError, match=f"^{path}:2: "):
        documents(path)
    result = documents(path, on_bad="drop")
    assert result[0] == Dropped(reason) and {r["prompt"] for r in result[1:]} == {"one?", "two?"}


def test_duplicated_id(tmp_path):
    path = write(tmp_path / "a.jsonl", *({"q": f"{i}?", "a": "x", "key": i % 2} for i in range(3)))
    with pytest.raises(InputError, match=r"a\.jsonl:3: id: '0' was used before, at line 1"):
        documents(path, fields=QA | {"id": "key"})


def test_one_object_keyed_by_id(tmp_path):
    path = write(tmp_path / "a.json", {"x1": {"q": "one?", "a": "1"}, "x2": {"q": "two?", "a": "2"}})
    result = documents(path, layout="mapping")
    assert {r["id"]: r["prompt"] for r in result} == {"x1": "one?", "x2": "two?"}
    write(path, {"x1": {"q": "one?", "a": "1"}, "x2": {"q": "two?", "a": ""}})
    with pytest.raises(InputError, match=rf"^{path}: x2: completion: is empty$"):
        documents(path, layout="mapping")
    with pytest.raises(
        InputError,
        match=rf"^{path}: must be one JSON object keyed by id, found an array: `layout: lines` reads it$",
    ):
        documents(write(path, [{"q": "one?", "a": "1"}]), layout="mapping")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "csv"}, "^layout: 'csv' is not one of lines, mapping, messages$"),
        ({"on_bad": "ignore"}, "^on_bad: 'ignore' is not one of refuse, drop$"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        documents(write(tmp_path / "a.jsonl", {"q": "?", "a": "x"}), **options)


def chat(*texts, roles=("human", "gpt")) -> dict:
    return {"conversations": [{"from": roles[i % 2], "value": text} for i, text in enumerate(texts)]}


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_conversations(tmp_path, layout):
    rows = [chat("one?", "1"), chat("two?", "no", "really?", "2"), chat("no answer?")]
    path = write(tmp_path / "a.json", *([rows] if layout == "array" else rows))
    result = documents(path, layout="messages", fields=None, on_bad="drop")
    assert result[0] == Dropped("turns out of order")
    assert {r["prompt"]: r["completion"] for r in result[1:]} == {"one?": "1", "two?\n\nno\n\nreally?": "2"}
    where = f"{path}:3" if layout == "lines" else f"{path}: row 3"
    with pytest.raises(InputError, match=rf"^{where}: messages: ends without an answer$"):
        documents(path, layout="messages", fields={"messages": "conversations"})


def test_a_gzipped_object_keyed_by_id(tmp_path):
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(b'{"x": {"q": "one?", "a": "1"}, "y": {"q": "two?", "a": NaN}}'))
    with pytest.raises(InputError, match=rf"^{path}: y: NaN is no JSON$"):
        documents(path, layout="mapping")
    dropped, record = documents(path, layout="mapping", on_bad="drop")
    assert dropped == Dropped("NaN or Infinity") and record["id"] == "x"


def test_a_name_that_no_line_can_hold_is_spelled_out(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a\nb\ud800": {"q": "one?", "a": ""}}))
    with pytest.raises(InputError) as caught:
        documents(path, layout="mapping")
    assert (
        str(caught.value)
        == f"{path}: 'a\\nb\\ud800': id: holds half of a surrogate pair, which no UTF-8 text can"
    )
