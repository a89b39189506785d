"""Data sets from a hub on loopback: pinned, checked, gone on with, and read from the cache afterwards."""

import json
import subprocess
import sys

import pytest
from corpora.corpora_samples import SHARED
from corpora.hub_server import REVISION, Hub, sha

from implicit_sparsity.corpora.sources import hub as loader
from implicit_sparsity.errors import InputError

CLIENT = """
import json, sys
from implicit_sparsity.corpora.sources import hub
from implicit_sparsity.errors import InputError
for options in json.loads(sys.argv[1]):
    try:
        print(json.dumps(list(hub.documents(options.pop("limit", None), 0, licence="MIT", **options))))
    except InputError as error:
        print(json.dumps(str(error)))
"""
ROWS = [{"q": f"question {i}?", "a": f"answer {i}"} for i in range(20)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train.jsonl}
  - {split: held_out, path: main/more.jsonl}
---
"""
QA = {"prompt": "q", "completion": "a"}
SPLIT = {"repo": "a/b", "revision": REVISION, "fields": QA, "config": "main", "split": "train"}
FILE = {"repo": "a/b", "revision": REVISION, "fields": QA, "file": "raw/rows.jsonl"}
LONG = [{"q": f"{i}?", "a": "x" * 400} for i in range(200)]  # large enough for an LFS file
MORE = b"".join(json.dumps(row).encode() + b"\n" for row in LONG)


def ask(hub, home, *options, **environment):
    """What the loader makes of each of these options in one process: its records, or the error's line."""
    command = [sys.executable, "-c", CLIENT, json.dumps(options)]
    done = subprocess.run(
        command, env=hub.environment(home, **environment), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub():
    with Hub() as serving:
        yield serving


def put(hub, **faults):
    more = {"main/more.jsonl": MORE, "raw/rows.jsonl": LINES}
    hub.put("a/b", {"README.md": CARD, "main/train.jsonl": LINES} | more, **faults)


def test_split_and_file_and_then_from_the_cache(hub, tmp_path):
    put(hub)
    online = ask(hub, tmp_path, SPLIT, FILE, FILE | {"limit": 5})
    hub.seen.clear()
    other = SPLIT | {"revision": "f" * 40}
    offline = ask(hub, tmp_path, SPLIT, FILE, other, HF_HUB_OFFLINE="1")
    assert hub.seen == [] and offline[:2] == online[:2] and len(online[0]) == 20
    assert offline[2].startswith(f"a/b@{'f' * 40}: repo: the hub cannot be reached: "), "never another commit"
    assert online[0] == online[1] and online[2] == online[1][:5]
    for record in online[0]:
        number = int(record["id"]) - 1
        assert (record["prompt"], record["completion"]) == (f"question {number}?", f"answer {number}")


GATED = "repo: is gated: accept its licence on the hub, then log in with `hf auth login`"
NONE = "repo: no such data set on the hub, or a private one: log in with `hf auth login`"
MISSING = "file: has no file 'raw/none.json' (it has: README.md, main/more.jsonl, "


def test_refusals(hub, tmp_path):
    small = {"README.md": CARD, "main/train.jsonl": LINES}
    put(hub)
    hub.put("a/gated", small, gated="files")
    hub.put("a/forged", small | {"main/more.jsonl": MORE}, wrong=("main/more.jsonl",))
    at = f"@{REVISION}: "
    table = [
        (SPLIT | {"repo": "a/none"}, f"a/none{at}{NONE}"),
        (SPLIT | {"repo": "a/none404"}, f"a/none404{at}{NONE}"),
        (SPLIT | {"repo": "a/gated"}, f"a/gated{at}{GATED}"),
        (FILE | {"repo": "a/gated", "file": "main/train.jsonl"}, f"a/gated{at}{GATED}"),
        (SPLIT | {"revision": "f" * 40}, f"a/b@{'f' * 40}: revision: the repository has no such commit"),
        (FILE | {"file": "raw/none.json"}, f"a/b{at}{MISSING}"),
        (SPLIT | {"split": "test"}, f"a/b{at}split: cannot be loaded: Unknown split"),
        (SPLIT | {"config": "mian"}, f"a/b{at}config: cannot be loaded: BuilderConfig 'mian' not found."),
        (SPLIT | {"repo": "a/forged"}, f"a/forged{at}repo: main/more.jsonl: what arrived has another"),
        (FILE | {"layout": "table"}, "layout: 'table' is not one of lines, mapping, messages"),
        (FILE | {"file": "../../../x.jsonl"}, "file: '../../../x.jsonl' is no path inside the repository"),
        (FILE | {"file": "/etc/passwd"}, "file: '/etc/passwd' is no path inside the repository"),
        (SPLIT | {"fields": QA | {"group": "g"}}, "a/b: fields.group: has no column 'g' (it has: q, a)"),
        (
            SPLIT
            | {
                "fields": {"answer": "q", "choices": ["q", "a"]} | {"completion": "{q}"},
                "answer_pattern": "x()",
            },
            "a/b: row 1: answer: answer_pattern is not",
        ),
        (SPLIT | {"layout": "messages", "fields": {"messages": "q"}}, "a/b: row 1: messages: must be a list"),
        (SPLIT | {"file": "raw/rows.jsonl"}, "split: name a split (with its config), or a file"),
        (
            FILE | {"fields": {"prompt": "q", "completion": "b"}},
            "a/b/raw/rows.jsonl:1: completion: no column",
        ),
    ]
    result = ask(hub, tmp_path, *(options for options, _ in table))
    for (options, start), line in zip(table, result, strict=True):
        assert isinstance(line, str) and line.startswith(start), (options, line)


def test_broken_file_is_gone_on_with(hub, tmp_path):
    """24 MiB that break off after 15: gone on with by another process at what the client had written, 10."""
    import numpy
    import pyarrow
    from pyarrow.parquet import write_table

    rows = {"q": [f"{i}?" for i in range(24)], "a": ["y"] * 24}
    noise = [numpy.random.default_rng(i).bytes(2**20) for i in range(24)]  # a column nobody asks for
    write_table(pyarrow.table(rows | {"noise": noise}), tmp_path / "made.parquet")
    content = (tmp_path / "made.parquet").read_bytes()
    hub.put("a/big", {"data.parquet": content}, breaks={"data.parquet": [15 * 2**20, -1]})
    wanted = FILE | {"repo": "a/big", "file": "data.parquet"}
    (line,) = ask(hub, tmp_path / "home", wanted)
    assert line.startswith(f"a/big@{REVISION}: repo: data.parquet: the transfer broke again and again (")
    hub.stored["a/big"].breaks.clear()
    hub.seen.clear()
    (result,) = ask(hub, tmp_path / "home", wanted)
    assert hub.ranges("data.parquet") == [f"bytes={10 * 2**20}-"] and len(result) == 24
    blob = tmp_path / "home" / "hub" / "datasets--a--big" / "blobs" / sha(content)
    assert blob.read_bytes() == content, "in the hub's own cache, under its checksum"


PUBLISHED = {"gsm8k": "gsm8k_test.jsonl", "pubmedqa": "pubmedqa_ori_pqal.json"}
AS_PUBLISHED = {
    "gsm8k": {
        "file": "grade_school_math/data/test.jsonl",
        "fields": {"prompt": "question", "completion": "answer"},
        "answer_pattern": "#### (.+)",
    },
    "pubmedqa": {
        "file": "data/ori_pqal.json",
        "fields": {
            "prompt": "{CONTEXTS}\n{QUESTION}",
            "completion": "LONG_ANSWER",
            "answer": "final_decision",
        },
        "choices": ["yes", "no", "maybe"],
    },
}


@pytest.mark.skipif(
    not all((SHARED / name).is_file() for name in PUBLISHED.values()),
    reason="the published files are not here",
)
def test_published_files_in_their_original_formats(hub, tmp_path):
    wanted = []
    for name, options in AS_PUBLISHED.items():
        hub.put(f"owner/{name}", {options["file"]: (SHARED / PUBLISHED[name]).read_bytes()})
        wanted.append({"repo": f"owner/{name}", "revision": REVISION} | options)
    gsm8k, pubmedqa = online = ask(hub, tmp_path, *wanted)
    assert ask(hub, tmp_path, *wanted, HF_HUB_OFFLINE="1") == online
    assert (len(gsm8k), len(pubmedqa)) == (1319, 1000)
    assert next(r for r in gsm8k if r["prompt"].startswith("Janet’s ducks"))["answer"] == "18"
    original = json.loads((SHARED / PUBLISHED["pubmedqa"]).read_text())
    assert {r["id"]: r["answer"] for r in pubmedqa} == {
        key: row["final_decision"] for key, row in original.items()
    }


def test_hub_wants_a_commit():
    with pytest.raises(InputError, match="revision: 'main' is not the 40 hex digits"):
        list(loader.documents(None, 0, "a/b", "main", "MIT", QA, split="train"))
