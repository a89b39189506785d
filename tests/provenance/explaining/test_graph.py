"""What is known of an artifact: its own record first, then what an archive kept, then Snakemake's note."""

import json

import pytest
from provenance.planted_jobs import made

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import formats
from implicit_sparsity.provenance.explaining import graph

TABLE = "results/tables/scores.csv"


def record(rule, **inputs) -> str:
    return json.dumps({"rule": rule, "id": rule, "inputs": inputs})


def note(root, path, content) -> None:
    made(root / formats.snakemake_note(path), content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def root(tmp_path):
    """A model's folder that says what made it, and a table that does not."""
    made(tmp_path / "results/models/nano/provenance.json", record("prepare", **{"data/own.jsonl": "5"}))
    made(tmp_path / "results/models/nano/deep/weights.bin", "x")
    made(tmp_path / TABLE, "a\n1\n")
    return tmp_path


def test_a_file_is_of_the_outermost_results_it_lies_in(root, monkeypatch):
    assert graph.study_of(root / TABLE) == (root, TABLE)
    inner = made(root / "results/copy/results/a.csv", "a\n")
    assert graph.study_of(inner) == (root, "results/copy/results/a.csv")
    monkeypatch.chdir(root / "results")
    assert graph.study_of("tables/scores.csv") == (root, TABLE)
    with pytest.raises(InputError, match=r"^results/none\.csv: no such file or folder$"):
        graph.study_of("results/none.csv")
    with pytest.raises(InputError, match=r"is not in a folder results/ of a study$"):
        graph.study_of(root / "results")


def test_a_file_inside_an_artifact_leads_to_the_artifact(root):
    for path in ("results/models/nano", "results/models/nano/deep/weights.bin", "results/models/nano/gone"):
        assert graph.find(root, path).path == "results/models/nano"
    assert graph.find(root, TABLE) is None and graph.find(root, "data/own.jsonl") is None


def test_an_artifacts_own_record_comes_before_what_was_kept_and_noted(root):
    path = "results/models/nano"
    note(root, path, {"rule": "noted", "input": []})
    made(root / "left_out" / path / "provenance.json", record("kept"))
    own = graph.load(root, path)
    assert (own.record["rule"], own.place, own.noted) == ("prepare", root / path, False)
    assert own.inputs == {"data/own.jsonl": "5"}
    (root / path / "provenance.json").unlink()
    archived = graph.load(root, path)
    assert (archived.record["rule"], archived.place, archived.noted) == (
        "kept",
        root / "left_out" / path,
        False,
    )
    (root / "left_out" / path / "provenance.json").write_text("[]")
    noted = graph.load(root, path)
    assert (noted.record["rule"], noted.place, noted.noted) == ("noted", root / path, True)


def test_of_what_nobody_says_anything_only_the_place_is_known(root):
    there, nowhere = graph.load(root, TABLE), graph.load(root, "results/none.csv")
    assert (there.place, there.record, there.noted, there.inputs) == (root / TABLE, {}, False, {})
    assert (nowhere.place, nowhere.record, nowhere.noted) == (None, {}, False)


def test_a_note_of_snakemake_names_inputs_without_ids_and_without_the_plan(root):
    inputs = ["results/plan/nano.json", "results/models/nano", "data/own.jsonl"]
    note(root, TABLE, {"rule": "table", "input": inputs, "log": []})
    expected = {"rule": "table", "inputs": {"results/models/nano": None, "data/own.jsonl": None}}
    assert graph.noted(root, TABLE) == expected and graph.load(root, TABLE).record == expected


@pytest.mark.parametrize("content", ["{", "[]", '{"input": []}', '{"rule": "x", "input": 3}'])
def test_a_damaged_note_is_none(root, content):
    note(root, TABLE, content)
    assert graph.noted(root, TABLE) is None


def test_a_note_of_a_job_without_inputs(root):
    note(root, TABLE, {"rule": "x", "input": None})
    assert graph.noted(root, TABLE) == {"rule": "x", "inputs": {}}
