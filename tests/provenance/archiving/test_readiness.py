"""What is still to be done in a study: jobs of a dry run, refused by name."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import readiness

STUDY = """
rule all:
    input: "table.csv"
rule collect:
    input: "data/notes (1), mine.jsonl"
    output: "{domain}.jsonl"
    shell: "touch {output}"
rule table:
    input: "law.jsonl"
    output: "table.csv"
    shell: "touch {output}"
"""


def test_unfinished_study_is_refused_by_the_names_of_its_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text(STUDY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/notes (1), mine.jsonl").touch()
    run = {"configfiles": [], "config": {}}
    words = r"2 jobs are to run: collect law .Missing.*; table .Missing"
    with pytest.raises(InputError, match=words):
        readiness.finished(run, "Snakefile")
    (tmp_path / "law.jsonl").touch()
    (tmp_path / "table.csv").touch()
    jobs = {job.rule: job for job in readiness.finished(run, "Snakefile")}
    assert jobs["collect"].files["input"] == ["data/notes (1), mine.jsonl"] and jobs["table"].wildcards == {}
