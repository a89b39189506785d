"""Jobs and what they wait for."""

from implicit_sparsity.planning import jobs
from implicit_sparsity.planning.costs import Job
from implicit_sparsity.provenance import planned_jobs

PLAN = [
    planned_jobs.Job(
        3,
        "train_adapter",
        {"model": "nano", "method": "lora", "order": "forward", "seed": "0", "stage": "1"},
        "",
        {
            "input": ["results/models/nano", "results/tokens/code"],
            "output": ["results/adapters/nano/lora.forward.seed0.stage1"],
        },
    ),
    planned_jobs.Job(1, "tokenize_domain", {}, "", {"input": [], "output": ["results/tokens/code"]}),
]


def test_a_job_waits_for_those_that_make_its_inputs():
    trained, tokens = jobs.linked(PLAN)
    assert trained == Job(3, "train_adapter", PLAN[0].wildcards, (1,)), "the model's folder was there before"
    assert tokens == Job(1, "tokenize_domain", {}) and trained.run == ("lora", 1)


def test_the_reference_set_is_planned_where_a_measurement_needs_it():
    measured = {"activations": ["base"], "drift": ["lora.o.seed0.stage1"]}
    plan = jobs.planned({"m": {"trained": [], "measured": measured}}, ["x", "y", "apart"], "apart")
    activations = [job.wildcards["domain"] for job in plan if job.kind == "activations"]
    assert activations == ["x", "y"]
    assert sum(job.kind == "drift" for job in plan) == 1, "of all domains together"
