"""What is still to be done in a study: jobs of a dry run, refused by name."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.provenance.archiving import readiness

PLAN = """\
Building DAG of jobs...

[Sun Nov 22 12:00:00 2026]
localrule preflight:
    output: results/plan/nano.json, results/plan/plan.md
    log: results/logs/preflight/all.log
    jobid: 8
    benchmark: results/benchmarks/preflight/all.tsv
    reason: Missing output files: results/plan/nano.json
    resources: tmpdir=/tmp


[Sun Nov 22 12:00:00 2026]
rule train_adapter:
    input: results/models/nano, results/tokens/nano/math
    output: results/adapters/nano/lora.forward.seed0.stage1
    log: results/logs/train_adapter/a.log (check log file(s) for error details)
    jobid: 7
    reason: Params have changed since last execution
    wildcards: model=nano, method=lora
    resources: tmpdir=/tmp

[Sun Nov 22 12:00:00 2026]
localrule all:
    input: results/tables/scores.csv
    jobid: 0
    reason: Input files updated by another job: results/tables/scores.csv
    resources: tmpdir=/tmp
Job stats:
"""


def test_jobs_of_a_dry_run():
    first, second = readiness.jobs(PLAN)
    assert (first.rule, first.files["output"]) == (
        "preflight",
        ["results/plan/nano.json", "results/plan/plan.md"],
    )
    assert (second.wildcards, second.reason) == (["nano", "lora"], "Params have changed since last execution")
    assert second.files["log"] == ["results/logs/train_adapter/a.log"]
    assert second.files["input"] == ["results/models/nano", "results/tokens/nano/math"]


def test_unfinished_study_is_refused_by_the_names_of_its_jobs(monkeypatch):
    monkeypatch.setattr(readiness, "dry_run", lambda *_, **__: PLAN)
    with pytest.raises(
        InputError, match=r"2 jobs are to run: preflight .Missing.*; train_adapter nano lora .Params"
    ):
        readiness.finished({}, "Snakefile")
