"""Jobs from Snakemake's events: names that its printed text cannot hold, and what it cannot plan."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance import planned_jobs

NAMES = ["notes (1).jsonl", "plus, minus.jsonl", "a: b.jsonl", "output: x", "über.jsonl", "two  blanks"]


def test_files_are_as_they_are_called(tmp_path):
    rules = "\n".join(
        f"rule r{n}:\n    input: {name!r}\n    output: 'o{n}'\n    log: 'l, {n}'"
        for n, name in enumerate(NAMES)
    )
    wanted = [f"o{n}" for n in range(len(NAMES))]
    (tmp_path / "Snakefile").write_text(f"rule all:\n    input: {wanted}\n{rules}\n")
    for name in NAMES:
        (tmp_path / name).touch()
    jobs = {job.rule: job for job in planned_jobs.ask("all", folder=tmp_path)}
    assert len(jobs) == len(NAMES)
    for n, name in enumerate(NAMES):
        files = {"input": [name], "output": [f"o{n}"], "log": [f"l, {n}"], "benchmark": []}
        assert jobs[f"r{n}"].files == files and jobs[f"r{n}"].reason.startswith("Missing output files")


def test_wildcards_and_a_name_for_people(tmp_path):
    (tmp_path / "Snakefile").write_text(
        "rule train:\n    output: '{model}.{seed}'\n    benchmark: '{model}.{seed}.tsv'\n"
    )
    [job] = planned_jobs.ask("nano.3", folder=tmp_path)
    assert (job.wildcards, job.name) == ({"model": "nano", "seed": "3"}, "train nano 3")
    assert job.files["benchmark"] == ["nano.3.tsv"]


@pytest.mark.parametrize(
    "snakefile, words",
    [
        ("rule all:\n    input: 'nowhere'\n", "Missing input files"),
        ("raise SystemExit('mine.yaml: no')", "mine.yaml: no"),
    ],
)
def test_what_cannot_be_planned_is_one_line(tmp_path, snakefile, words):
    (tmp_path / "Snakefile").write_text(snakefile)
    with pytest.raises(InputError, match=words) as refusal:
        planned_jobs.ask("all", folder=tmp_path)
    assert "\n" not in str(refusal.value)


def test_the_same_study_is_asked_for():
    run = {"configfiles": ["a b.yaml"], "config": {"with": "ladder", "seeds": [0, 1]}}
    words = ["--configfile", "a b.yaml", "--config", "seeds=[0, 1]", 'with="ladder"']
    assert planned_jobs.arguments(run) == words
