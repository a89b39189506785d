"""Jobs and what they wait for, read from the text of a dry run."""

import pytest

from implicit_sparsity.errors import InputError
from implicit_sparsity.planning import jobs
from implicit_sparsity.planning.costs import Job

PLAN = """\
Building DAG of jobs...
rule train_adapter:
    input: results/models/nano, results/tokens/code
    output: results/adapters/nano/lora.forward.seed0.stage1
    jobid: 3
    wildcards: model=nano, method=lora, order=forward, seed=0, stage=1

localrule tokenize_domain:
    output: results/tokens/code
    jobid: 1

"""


def test_a_job_waits_for_those_that_make_its_inputs():
    wildcards = {"model": "nano", "method": "lora", "order": "forward", "seed": "0", "stage": "1"}
    trained, tokens = jobs.parse(PLAN)
    assert trained == Job(3, "train_adapter", wildcards, (1,)), "the model's folder was there before"
    assert tokens == Job(1, "tokenize_domain", {}) and trained.run == ("lora", 1)
    with pytest.raises(InputError, match="rule tokenize_domain has no jobid"):
        jobs.parse(PLAN.replace("    jobid: 1\n", ""))


def test_the_reference_set_is_planned_where_a_measurement_needs_it():
    measured = {"activations": ["base"], "drift": ["lora.o.seed0.stage1"]}
    plan = jobs.planned({"m": {"trained": [], "measured": measured}}, ["x", "y", "apart"], "apart")
    activations = [job.wildcards["domain"] for job in plan if job.kind == "activations"]
    assert activations == ["x", "y"]
    assert sum(job.kind == "drift" for job in plan) == 1, "of all domains together"
