"""What a file was made of, as text: what was made again, what says nothing, what is told in short."""

import json
from pathlib import Path

from provenance.planted_jobs import chain, job, made, no_job, table_of_scores  # noqa: F401 (a fixture)

from implicit_sparsity.provenance import formats
from implicit_sparsity.provenance.explaining import tree
from implicit_sparsity.provenance.record import finish


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
    table_of_scores(7)
    reported = list(tree.lines("results/tables/scores.csv"))
    assert (
        "`- and 4 more of rule score (ALL=1)" in reported and sum(".json" in line for line in reported) == 3
    )
    assert sum(".json" in line for line in tree.lines("results/tables/scores.csv", everything=True)) == 7
