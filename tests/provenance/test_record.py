"""What a job writes into what it makes, in every format; equal jobs differ in `made` alone."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, Wildcards

from implicit_sparsity.provenance import formats, identity
from implicit_sparsity.provenance.explaining import tree
from implicit_sparsity.provenance.record import _current, begin, finish, read


def job(function, rule="work", **given):
    kinds = {"input": InputFiles, "output": OutputFiles, "params": Params, "wildcards": Wildcards}
    parts = {name: kind(fromdict=given.get(name, {})) for name, kind in kinds.items()}
    return begin(function, SimpleNamespace(rule=rule, **parts))


def made(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    return str(path)


def figure(path):
    from implicit_sparsity.figures import base

    canvas = base.panels(1, 1, 1.0)[0]
    base.save(canvas, path.with_suffix(".pdf"), path.with_suffix(".png"))
    return [str(path.with_suffix(ending)) for ending in (".pdf", ".png")]


@pytest.fixture(autouse=True)
def no_job():
    yield
    _current.clear()


def test_every_format_holds_the_record(tmp_path):
    reported = job(lambda options: None, params={"options": {"text": "(a) \\ -- é"}, "code": "c" * 64})
    text = {
        "a.json": '{"x": 1}',
        "b.csv": "p,q\n1,2\n",
        "d.tex": "x\n",
        "e.md": "# x\n",
        "f.html": "<p>\n",
        "g.npy": "x",
    }
    paths = [made(tmp_path / name, content) for name, content in text.items()]
    paths += [made(tmp_path / "folder"), made(tmp_path / "s.zarr"), *figure(tmp_path / "h")]
    (tmp_path / "s.zarr/zarr.json").write_text('{"attributes": {"title": "t"}, "node_type": "group"}')
    expected = json.loads(json.dumps(reported))
    finish(paths)
    for path in paths:
        result = read(path)
        assert result == expected, path
    assert json.loads((tmp_path / "a.json").read_text())["x"] == 1
    assert (tmp_path / "b.csv").read_text() == "p,q\n1,2\n"
    sidecar = json.loads((tmp_path / "b.csv-metadata.json").read_text())
    assert [column["titles"] for column in sidecar["tableSchema"]["columns"]] == ["p", "q"]
    assert json.loads((tmp_path / "s.zarr/zarr.json").read_text())["attributes"]["title"] == "t"
    assert (tmp_path / "f.html").read_text().count("--") == 2  # of the comment's own marks


def test_a_figure_outside_a_job_says_nothing(tmp_path):
    assert [formats.read(Path(path)) for path in figure(tmp_path / "h")] == [None, None]


def chain(tmp_path, seed=0, commit="a"):
    """source -> table, each by a job."""
    source, table = tmp_path / "source.jsonl", tmp_path / "table.csv"
    manifest = tmp_path / "source.manifest.json"
    metadata = {"domain": "math", "source": "gsm", "loader": "gsm", "sha256": {"source.jsonl": "5" * 64}}
    job(lambda options: None, "collect", params={"options": {"seed": seed}, "code": "1"})
    outputs = [made(source, "{}\n"), made(manifest, json.dumps(metadata))]
    finish(outputs)
    job(
        lambda files: None, "table", input={"files": [str(source)], "plan": "plan.json"}, params={"code": "2"}
    )
    finish([made(table, "a\n1\n")])
    return read(source), read(table)


def test_records_lead_to_the_corpus(tmp_path):
    source, table = chain(tmp_path)
    assert table["inputs"] == {str(tmp_path / "source.jsonl"): source["id"]}  # the plan is a gate
    assert table["data"] == source["data"] == {"math/gsm": "5" * 64}
    assert source["options"] == {"options": {"seed": 0}} and table["rule"] == "table"


def test_inputs_of_any_name_count_but_for_the_plan(tmp_path):
    """As of measurements and tables, whose inputs the config names."""
    chain(tmp_path)
    source = str(tmp_path / "source.jsonl")
    reported = job(lambda **read: None, input={"activations": [source], "plan": "results/plan/nano.json"})
    assert list(reported["inputs"]) == [source] and reported["data"] == {"math/gsm": "5" * 64}


def test_equal_jobs_differ_in_made_alone(tmp_path, monkeypatch):
    first = chain(tmp_path / "a")
    monkeypatch.setattr(identity, "commit", lambda root=None: "another")
    (tmp_path / "a/table.csv").unlink()
    second = chain(tmp_path / "a")
    for one, two in zip(first, second):
        assert two["made"]["commit"] == "another" != one["made"]["commit"]
        assert {**one, "made": 0} == {**two, "made": 0}
    assert chain(tmp_path / "a", seed=1)[1]["id"] != first[1]["id"], "a change far above shows in the id"


def test_a_given_file_counts_by_its_content(tmp_path):
    def record():
        return job(lambda files: None, input={"files": [str(tmp_path / "own.jsonl")]})["inputs"]

    (tmp_path / "own.jsonl").write_text("1")
    before = record()
    (tmp_path / "own.jsonl").write_text("2")
    assert record() != before


def test_explain_says_when_an_input_was_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chain(Path("results"))
    assert not any("MADE AGAIN" in line for line in tree.lines("results/table.csv"))
    job(lambda options: None, "collect", params={"options": {"seed": 7}, "code": "1"})
    finish(["results/source.manifest.json"])
    assert any("source.jsonl (MADE AGAIN" in line for line in tree.lines("results/table.csv"))


def test_explain_takes_snakemakes_note_of_what_says_nothing(tmp_path):
    name = "results/tables/" + "long" * 60 + ".csv"
    note = tmp_path / formats.snakemake_note(name)
    note.parent.mkdir(parents=True)
    note.write_text(
        json.dumps({"rule": "table", "input": ["results/source.jsonl", "results/plan/nano.json"]})
    )
    made(tmp_path / name, "a\n1\n")
    reported = "\n".join(tree.lines(tmp_path / name))
    assert "rule table (Snakemake's note" in reported and "results/source.jsonl (not here)" in reported
    assert "plan" not in reported


def test_many_inputs_of_one_rule_are_told_in_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = []
    for number in range(7):
        job(lambda: None, "score")
        paths.append(made(Path(f"results/evals/{number}.json"), "{}"))
        finish(paths[-1:])
    job(lambda evals: None, "table", input={"evals": paths})
    finish([made(Path("results/tables/scores.csv"), "a\n")])
    reported = list(tree.lines("results/tables/scores.csv"))
    assert (
        "`- and 4 more of rule score (ALL=1)" in reported and sum(".json" in line for line in reported) == 3
    )
    assert sum(".json" in line for line in tree.lines("results/tables/scores.csv", everything=True)) == 7
