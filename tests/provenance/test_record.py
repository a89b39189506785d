"""What a job writes into what it makes, in every format; equal jobs differ in `made` alone."""

import json
from pathlib import Path

from provenance.planted_jobs import chain, job, made, no_job  # noqa: F401 (a fixture)

from implicit_sparsity.provenance import formats, identity
from implicit_sparsity.provenance.record import finish, read


def figure(path):
    from implicit_sparsity.figures import base

    canvas = base.panels(1, 1, 1.0)[0]
    base.save(canvas, path.with_suffix(".pdf"), path.with_suffix(".png"))
    return [str(path.with_suffix(ending)) for ending in (".pdf", ".png")]


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
